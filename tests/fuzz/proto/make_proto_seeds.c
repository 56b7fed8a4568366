/* Write the fuzz seeds of proto/: make_proto_seeds CORPUS_FOLDER. Deterministic, so that running it
 * again after a protocol change shows as a plain diff. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bounds.h"
#include "codec.h"
#include "dataset.h"
#include "file.h"
#include "metrics.h"
#include "msg_examples.h"
#include "records.h"

static int write_seed(const char *corpus, const char *target, const char *name,
                      const struct strbuf *bytes)
{
    char path[1024];
    struct err err;
    snprintf(path, sizeof path, "%s/%s", corpus, target);
    enum err_code rc = file_mkdirs(path, 0755, &err);
    snprintf(path, sizeof path, "%s/%s/%s", corpus, target, name);
    if (rc == ERR_OK)
        rc = file_write_atomic(path, bytes->data, bytes->len, 0644, &err);
    if (rc != ERR_OK)
        fprintf(stderr, "%s\n", err.text);
    return rc == ERR_OK ? 0 : 1;
}

static const char *codec_target(enum msg_kind kind)
{
    static const char senders[MSG_KIND_COUNT] = {
#define X(KIND, member, sender) [MSG_##KIND] = (sender),
        MSG_KINDS(X)
#undef X
    };
    switch (senders[kind]) {
    case 'W':
        return "fuzz_codec_worker";
    case 'C':
        return "fuzz_codec_client";
    case 'D':
        return "fuzz_codec_data";
    default:
        return "fuzz_codec_coordinator";
    }
}

static int write_frames(const char *corpus)
{
    size_t count;
    size_t of_kind[MSG_KIND_COUNT] = {0}; /* so that an example more renames no other's seed */
    int status = 0;
    const struct msg *examples = msg_examples(&count);
    for (size_t i = 0; i < count; i++) {
        struct strbuf frame = {0};
        struct err err;
        char name[64];
        snprintf(name, sizeof name, "%s-%zu", msg_kind_name(examples[i].kind),
                 of_kind[examples[i].kind]++);
        if (codec_encode(&examples[i], FRAME_DATA_BYTES_MAX, &frame, &err) != ERR_OK)
            status = 1;
        else
            status |= write_seed(corpus, codec_target(examples[i].kind), name, &frame);
        strbuf_release(&frame);
    }
    return status;
}

static int write_batches(const char *corpus)
{
    static const struct record_entry entries[] = {{-0.5f, true}, {-4.25f, false}};
    static const struct record_choice choices[] = {{0.25, 1.5, 0.5}, {0.75, INFINITY, 0}};
    static const struct record scores[] = {
        {.content_nats = 2.5,
         .terminator_nats = 0.25,
         .token_count = 3,
         .hit_tokens = 2,
         .first_hit = true,
         .greedy_nats = 1.5,
         .part_count = 2,
         .entries = entries},
        {.position = 1,
         .content_nats = (double)NAN,
         .terminator_nats = INFINITY,
         .token_count = 65535},
        {.sequence = UINT32_MAX,
         .position = UINT32_MAX,
         .token_count = 1,
         .hit_tokens = 1,
         .first_hit = true,
         .hit = true},
    };
    static const struct record chosen[] = {
        {.part_count = 2, .choices = choices},
        {.sequence = 1, .part_count = 1, .choices = choices},
    };
    static const struct record samples[] = {
        {.content_nats = 7.5, .token_count = 2, .ended = true, .part_count = 6, .text = "Monday"},
        {.position = 1, .token_count = 16},
    };
    static const struct metric_point points[] = {
        {0, 1800000000123, 6.93, "loss_nats"},
        {10, 1800000000456, NAN, "loss_nats"},
        {-1, -1, 1e300, "tokens_per_s"},
    };
    struct strbuf batch = {0};
    records_encode(&batch, RECORDS_SCORES, scores, 3);
    int status = write_seed(corpus, "fuzz_records", "three", &batch);
    strbuf_clear(&batch);
    records_encode(&batch, RECORDS_CHOICES, chosen, 2);
    status |= write_seed(corpus, "fuzz_records", "choices", &batch);
    strbuf_clear(&batch);
    records_encode(&batch, RECORDS_SAMPLES, samples, 2);
    status |= write_seed(corpus, "fuzz_records", "samples", &batch);
    strbuf_clear(&batch);
    metrics_encode(&batch, points, 3);
    status |= write_seed(corpus, "fuzz_metrics", "three", &batch);
    strbuf_release(&batch);
    return status;
}

static int write_datasets(const char *corpus)
{
    static const char *const texts[] = {
        "{\"triad_dataset\":1,\"purpose\":\"evaluate\",\"name\":\"flight\",\"format\":\"spectrum\","
        "\"sequences\":2,\"pairing\":"
        "\"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\"}\n"
        "{\"id\":\"flight/17\",\"segments\":[[\"s\",\"<|begin_of_text|>\",0,-1],"
        "[\"t\",\"Output:\",0,0],[\"t\",\" 2\",1,0],[\"t\",\"\\n\\n\",2,0]]}\n"
        "{\"id\":\"\\u0000\",\"segments\":[]}\n",
        "{\"triad_dataset\":1,\"purpose\":\"train\",\"name\":\"\",\"format\":\"text\","
        "\"sequences\":0,\"pairing\":\"\"}",
        "{\"triad_dataset\":2,\"purpose\":\"evaluate\",\"kind\":\"choices\",\"name\":\"urn\","
        "\"format\":\"colon\",\"sequences\":1,\"pairing\":\"\"}\n"
        "{\"id\":\"urn/0\",\"segments\":[[\"t\",\"Color:\",0,0]],\"candidates\":"
        "[{\"segments\":[[\"t\",\" red\",1,0]],\"target\":0.25}]}\n",
        "{\"triad_dataset\":2,\"purpose\":\"evaluate\",\"kind\":\"samples\",\"name\":\"day\","
        "\"format\":\"colon\",\"sequences\":1,\"pairing\":\"\"}\n"
        "{\"id\":\"day/0\",\"segments\":[[\"t\",\"Day:\",0,0]],\"sample\":{\"draws\":100,"
        "\"max_tokens\":8,\"temperature\":1.0,\"top_p\":1.0,\"top_k\":0,\"seed\":42,"
        "\"stop_tokens\":[\"<|eot_id|>\"],\"stop_texts\":[\"\\n\"]}}\n",
    };
    static const char *const names[] = {"two", "empty", "choices", "samples"};
    int status = 0;
    for (size_t i = 0; i < 4; i++) {
        struct strbuf text = {0};
        strbuf_puts(&text, texts[i]);
        status |= write_seed(corpus, "fuzz_dataset", names[i], &text);
        strbuf_release(&text);
    }
    return status;
}

static int write_access(const char *corpus)
{
    /* The example keys of zmq_curve(7); nobody uses them. */
    struct strbuf text = {0};
    strbuf_puts(&text, "{\n  \"triad_access\": 1,\n  \"role\": \"client\",\n"
                       "  \"endpoint\": \"tcp://127.0.0.1:7002\",\n"
                       "  \"data_endpoint\": \"tcp://127.0.0.1:7003\",\n"
                       "  \"server\": \"rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7\",\n"
                       "  \"public\": \"Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID\",\n"
                       "  \"secret\": \"D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs\"\n}");
    int status = write_seed(corpus, "fuzz_access", "client", &text);
    strbuf_release(&text);
    return status;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: make_proto_seeds CORPUS_FOLDER\n");
        return 2;
    }
    return write_frames(argv[1]) | write_batches(argv[1]) | write_datasets(argv[1]) |
           write_access(argv[1]);
}
