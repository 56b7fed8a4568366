/* A network link between two namespaces that delays, loses and cuts as it is told: two TUN devices
 * and this program between them. For kernels without netem, and for cuts of one direction.
 *
 *   bad_link NETNS-A ADDRESS-A NETNS-B ADDRESS-B SEED        (addresses as 10.0.0.1/24)
 *
 * Prints "ready", then reads orders, one a line, until its input ends:
 *   delay MS      each packet arrives so much later, in both directions
 *   loss PERCENT  so many of a hundred packets are lost, drawn from the seed
 *   cut a|b|both  nothing from that side arrives any more
 *   join          everything arrives again */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PACKET_BYTES_MAX 2048
#define QUEUE_MAX        8192 /* more than a TCP window at 200 ms; beyond, packets are lost */

struct packet {
    int64_t due_ms;
    size_t len;
    uint8_t bytes[PACKET_BYTES_MAX];
};

/* One direction: packets in order of arrival, a ring. */
struct lane {
    int from, to;
    bool is_cut;
    struct packet *ring;
    size_t first, count;
};

struct link {
    struct lane lanes[2];
    long delay_ms, loss_percent;
    uint64_t random;
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void die(const char *what)
{
    fprintf(stderr, "bad_link: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t draw(struct link *link)
{
    uint64_t z = link->random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* A TUN device called `wire` with an address, in a named namespace. */
static int open_end(const char *netns, const char *address)
{
    char path[256];
    struct ifreq request;
    memset(&request, 0, sizeof request);
    snprintf(path, sizeof path, "/run/netns/%s", netns);
    int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    int other = open(path, O_RDONLY | O_CLOEXEC);
    if (own < 0 || other < 0 || setns(other, CLONE_NEWNET) != 0)
        die(path);
    int tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    snprintf(request.ifr_name, sizeof request.ifr_name, "wire");
    if (tun < 0 || ioctl(tun, TUNSETIFF, &request) != 0)
        die("/dev/net/tun");
    pid_t child = fork();
    if (child == 0) {
        execlp("sh", "sh", "-c",
               "ip addr add \"$0\" dev wire && ip link set wire up && ip link set lo up", address,
               (char *)NULL);
        _exit(127);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        die("ip");
    if (setns(own, CLONE_NEWNET) != 0)
        die("return");
    close(own);
    close(other);
    return tun;
}

static void take(struct link *link, struct lane *lane)
{
    uint8_t bytes[PACKET_BYTES_MAX];
    for (;;) {
        ssize_t len = read(lane->from, bytes, sizeof bytes);
        if (len <= 0)
            return;
        bool lost = draw(link) % 100 < (uint64_t)link->loss_percent;
        if (lost || lane->is_cut || lane->count == QUEUE_MAX)
            continue;
        struct packet *packet = &lane->ring[(lane->first + lane->count++) % QUEUE_MAX];
        packet->due_ms = now_ms() + link->delay_ms;
        packet->len = (size_t)len;
        memcpy(packet->bytes, bytes, packet->len);
    }
}

/* Milliseconds until the next packet is due, -1: none. */
static int deliver(struct lane *lane)
{
    while (lane->count > 0) {
        struct packet *packet = &lane->ring[lane->first];
        int64_t left_ms = packet->due_ms - now_ms();
        if (left_ms > 0)
            return (int)left_ms;
        if (!lane->is_cut) {
            ssize_t written = write(lane->to, packet->bytes, packet->len);
            (void)written; /* a device that is down or full loses the packet, as a wire would */
        }
        lane->first = (lane->first + 1) % QUEUE_MAX;
        lane->count--;
    }
    return -1;
}

static bool obey(struct link *link, const char *line)
{
    char word[16];
    if (sscanf(line, "delay %ld", &link->delay_ms) == 1 ||
        sscanf(line, "loss %ld", &link->loss_percent) == 1)
        return true;
    if (sscanf(line, "cut %15s", word) == 1) {
        link->lanes[0].is_cut |= strcmp(word, "b") != 0;
        link->lanes[1].is_cut |= strcmp(word, "a") != 0;
        return true;
    }
    if (strncmp(line, "join", 4) == 0) {
        link->lanes[0].is_cut = link->lanes[1].is_cut = false;
        return true;
    }
    fprintf(stderr, "bad_link: what is '%s'?\n", line);
    return false;
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: bad_link NETNS-A ADDRESS-A NETNS-B ADDRESS-B SEED\n");
        return 2;
    }
    struct link link = {.random = strtoull(argv[5], NULL, 10)};
    int a = open_end(argv[1], argv[2]);
    int b = open_end(argv[3], argv[4]);
    link.lanes[0].from = link.lanes[1].to = a;
    link.lanes[1].from = link.lanes[0].to = b;
    for (int i = 0; i < 2; i++)
        if (!(link.lanes[i].ring = calloc(QUEUE_MAX, sizeof(struct packet))))
            die("memory");
    setvbuf(stdin, NULL, _IONBF, 0); /* else poll() does not see a second order in the buffer */
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        int wait_ms = deliver(&link.lanes[0]);
        int other_ms = deliver(&link.lanes[1]);
        if (wait_ms < 0 || (other_ms >= 0 && other_ms < wait_ms))
            wait_ms = other_ms;
        struct pollfd fds[] = {{a, POLLIN, 0}, {b, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
        if (poll(fds, 3, wait_ms) < 0 && errno != EINTR)
            die("poll");
        if (fds[0].revents & POLLIN)
            take(&link, &link.lanes[0]);
        if (fds[1].revents & POLLIN)
            take(&link, &link.lanes[1]);
        if (fds[2].revents) {
            char line[64];
            if (!fgets(line, sizeof line, stdin))
                return 0;
            if (!obey(&link, line))
                return 1;
        }
    }
}
