/* Downloads from a server of ours on loopback: whole, broken off and continued, without ranges,
 * moved, refused, and not what was expected. */
#include "cmocka_all.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fetch.h"
#include "file.h"

enum { BODY = 300000 };

static char body[BODY];
static int listener, port, requests;
static char folder[] = "/tmp/triad-fetch-XXXXXX";

static void send_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        bytes += sent;
        len -= (size_t)sent;
    }
}

static void send_head(int fd, const char *status, size_t length, const char *more)
{
    char head[500];
    int len = snprintf(head, sizeof head,
                       "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n", status,
                       length, more);
    send_all(fd, head, (size_t)len);
}

/* What each path does. */
static void answer(int fd, const char *request)
{
    const char *range = strstr(request, "Range: bytes=");
    size_t from = range ? strtoul(range + 13, NULL, 10) : 0;
    char more[100];
    requests++;
    if (strstr(request, "GET /moved"))
        send_head(fd, "302 Found", 0, "Location: /whole\r\n");
    else if (strstr(request, "GET /secret"))
        send_head(fd, "403 Forbidden", 0, "");
    else if (strstr(request, "GET /gone"))
        send_head(fd, "404 Not Found", 0, "");
    else if (strstr(request, "GET /elsewhere"))
        send_head(fd, "302 Found", 0, "Location: file:///etc/hostname\r\n");
    else if (strstr(request, "GET /breaks") && !range) {
        send_head(fd, "200 OK", BODY, "");
        send_all(fd, body, BODY / 3); /* and no more */
    } else if (strstr(request, "GET /stubborn") || !range) {
        static int times;
        bool cut = strstr(request, "GET /stubborn") && times++ == 0;
        send_head(fd, "200 OK", BODY, "");
        send_all(fd, body, cut ? BODY / 2 : BODY);
    } else if (from >= BODY) {
        send_head(fd, "416 Range Not Satisfiable", 0, "");
    } else {
        snprintf(more, sizeof more, "Content-Range: bytes %zu-%d/%d\r\n", from, BODY - 1, BODY);
        send_head(fd, "206 Partial Content", BODY - from, more);
        send_all(fd, body + from, BODY - from);
    }
}

static void *serve(void *ctx)
{
    (void)ctx;
    for (;;) {
        char request[2000] = "";
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            return NULL;
        size_t have = 0;
        while (have + 1 < sizeof request && !strstr(request, "\r\n\r\n")) {
            ssize_t got = recv(fd, request + have, sizeof request - 1 - have, 0);
            if (got <= 0)
                break;
            have += (size_t)got;
        }
        answer(fd, request);
        close(fd);
    }
}

static pthread_t thread;

static int start(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    struct err err;
    (void)state;
    for (size_t i = 0; i < BODY; i++)
        body[i] = (char)('a' + i * 7 % 26);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address, len) != 0 || listen(listener, 8) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &len) != 0)
        return -1;
    port = ntohs(address.sin_port);
    unsetenv("http_proxy");
    return mkdtemp(folder) && fetch_start(&err) == ERR_OK
               ? pthread_create(&thread, NULL, serve, NULL)
               : -1;
}

static int stop(void **state)
{
    struct err err;
    (void)state;
    shutdown(listener, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(listener);
    fetch_stop();
    return file_remove_tree(folder, &err) == ERR_OK ? 0 : -1;
}

/* Fetch /name into folder/sub/name. */
static enum err_code fetch(const char *name, const struct digest *digest, int64_t bytes_max,
                           struct fetch_result *out, struct err *err)
{
    char url[100], path[200];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/%s", port, name);
    snprintf(path, sizeof path, "%s/sub/%s", folder, name);
    struct fetch_request request = {url, path, digest, bytes_max};
    return fetch_file(&request, out, err);
}

static bool is_body(const char *name)
{
    char path[200], *bytes = NULL;
    size_t len = 0;
    struct err err;
    snprintf(path, sizeof path, "%s/sub/%s", folder, name);
    if (file_read(path, 0, &bytes, &len, &err) != ERR_OK)
        return false;
    bool same = len == BODY && memcmp(bytes, body, BODY) == 0;
    free(bytes);
    return same;
}

static void whole_files_come(void **state)
{
    (void)state;
    struct fetch_result result;
    struct err err = {0};
    struct digest digest = hash_bytes(body, BODY);
    assert_int_equal(fetch("whole", &digest, 0, &result, &err), ERR_OK);
    assert_int_equal(result.bytes, BODY);
    assert_int_equal(result.resumed, 0);
    assert_true(digest_equal(&result.digest, &digest));
    assert_true(is_body("whole"));
    assert_int_equal(fetch("moved", &digest, 0, &result, &err), ERR_OK);
    assert_true(is_body("moved"));
}

static void a_broken_download_is_continued(void **state)
{
    (void)state;
    struct fetch_result result;
    struct err err = {0};
    struct digest digest = hash_bytes(body, BODY);
    assert_int_equal(fetch("breaks", &digest, 0, &result, &err), ERR_UNAVAILABLE);
    assert_non_null(strstr(err.text, "what came is kept, try again"));
    assert_false(is_body("breaks"));
    assert_int_equal(fetch("breaks", &digest, 0, &result, &err), ERR_OK);
    assert_int_equal(result.resumed, BODY / 3);
    assert_true(is_body("breaks"));
    /* A server that knows no ranges sends all of it again. */
    assert_int_equal(fetch("stubborn", &digest, 0, &result, &err), ERR_UNAVAILABLE);
    assert_int_equal(fetch("stubborn", &digest, 0, &result, &err), ERR_OK);
    assert_int_equal(result.resumed, 0);
    assert_true(is_body("stubborn"));
}

static void a_complete_part_takes_its_place(void **state)
{
    (void)state;
    struct fetch_result result;
    struct err err = {0};
    char path[200];
    snprintf(path, sizeof path, "%s/sub/full.part", folder);
    assert_int_equal(file_write_atomic(path, body, BODY, 0644, &err), ERR_OK);
    assert_int_equal(fetch("full", NULL, 0, &result, &err), ERR_OK);
    assert_int_equal(result.resumed, BODY);
    assert_true(is_body("full"));
}

static void what_is_wrong_is_said(void **state)
{
    (void)state;
    struct fetch_result result;
    struct err err = {0};
    struct digest other = hash_bytes("x", 1);
    char path[200];
    assert_int_equal(fetch("secret", NULL, 0, &result, &err), ERR_DENIED);
    assert_int_equal(fetch("gone", NULL, 0, &result, &err), ERR_NOT_FOUND);
    assert_int_equal(fetch("elsewhere", NULL, 0, &result, &err), ERR_UNAVAILABLE);
    assert_int_equal(fetch("large", NULL, 1000, &result, &err), ERR_LIMIT);
    assert_int_equal(fetch("changed", &other, 0, &result, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.text, "is not the file that was expected"));
    assert_false(is_body("changed"));
    snprintf(path, sizeof path, "%s/sub/changed.unexpected", folder);
    assert_true(file_exists(path));
    assert_true(requests > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_files_come),
        cmocka_unit_test(a_broken_download_is_continued),
        cmocka_unit_test(a_complete_part_takes_its_place),
        cmocka_unit_test(what_is_wrong_is_said),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
