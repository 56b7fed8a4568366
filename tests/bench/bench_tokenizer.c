/* Speed of tokenizers.
 *
 *   bench_tokenizer FILE [VOCABULARY]        train on a text, then encode and count it with the
 * result bench_tokenizer --model MODEL [TEXT…]    load a tokenizer (a folder or tokenizer.json)
 * with an empty cache and with a full one; encode, place, count and decode the texts; and texts
 * made to be slow
 *
 * Times are of the processor (user and system), so that a busy machine shows less; loading also as
 * it passes. Bars (docs/results.md): first load 1.5 s, later ones 0.1 s, encoding 10 MB/s a core.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "file.h"
#include "rng.h"
#include "tokenizer.h"
#include "tokenizer_train.h"

enum { VOCABULARY = 1024, ROUNDS = 3, HOSTILE_BYTES = 1 << 20, PIECE_BYTES = 1 << 16 };

static double cpu_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static enum err_code train(struct str text, int32_t vocabulary, struct tokenizer **tokenizer_out,
                           struct err *err)
{
    struct tokenizer_trainer *trainer = NULL;
    enum err_code rc = tokenizer_trainer_new(&trainer, err);
    if (rc == ERR_OK)
        rc = tokenizer_trainer_add(trainer, text, err);
    struct tokenizer_train_options options = {vocabulary, tokenizer_family_specials,
                                              TOKENIZER_FAMILY_SPECIALS_COUNT};
    if (rc == ERR_OK)
        rc = tokenizer_trainer_finish(trainer, &options, tokenizer_out, err);
    tokenizer_trainer_free(trainer);
    return rc;
}

/* In pieces, as datasets are: longer than any sequence, shorter than a cache. */
static enum err_code encode_pieces(struct tokenizer *t, struct str text, struct token_list *list,
                                   struct place_list *places, struct err *err)
{
    for (size_t at = 0; at < text.len;) {
        size_t len = text.len - at < PIECE_BYTES ? text.len - at : PIECE_BYTES;
        const char *end = at + len < text.len ? memrchr(text.data + at, '\n', len) : NULL;
        if (end)
            len = (size_t)(end + 1 - (text.data + at));
        enum err_code rc = tokenizer_encode_with(t, (struct str){text.data + at, len},
                                                 ADDED_ORDINARY, list, places, err);
        if (rc != ERR_OK)
            return rc;
        at += len;
    }
    return ERR_OK;
}

static enum err_code measure_text(struct tokenizer *t, const char *name, struct str text,
                                  struct err *err)
{
    double megabytes = (double)text.len * 1e-6;
    enum err_code rc = ERR_OK;
    for (int round = 0; rc == ERR_OK && round < ROUNDS; round++) {
        struct token_list list = {0};
        struct place_list places = {0};
        struct strbuf back = {0};
        size_t count = 0;
        double start = cpu_now();
        rc = encode_pieces(t, text, &list, NULL, err);
        double encoded = cpu_now();
        size_t tokens = list.count;
        list.count = 0;
        if (rc == ERR_OK)
            rc = encode_pieces(t, text, &list, &places, err);
        double placed = cpu_now();
        if (rc == ERR_OK)
            rc = tokenizer_count(t, text, &count, err);
        double counted = cpu_now();
        if (rc == ERR_OK)
            rc = tokenizer_decode(t, list.ids, list.count, &back, err);
        double decoded = cpu_now();
        printf("%-24s encode %6.1f  with places %6.1f  count %6.1f  decode %6.1f MB/s   "
               "%zu tokens, %.2f bytes each\n",
               round ? "" : name, megabytes / (encoded - start), megabytes / (placed - encoded),
               megabytes / (counted - placed), megabytes / (decoded - counted), tokens,
               (double)text.len / (double)(tokens ? tokens : 1));
        token_list_release(&list);
        place_list_release(&places);
        strbuf_release(&back);
    }
    return rc;
}

static enum err_code measure_file(struct tokenizer *t, const char *path, struct err *err)
{
    char *data = NULL;
    size_t len = 0;
    const char *slash = strrchr(path, '/');
    enum err_code rc = file_read(path, 0, &data, &len, err);
    if (rc == ERR_OK)
        rc = measure_text(t, slash ? slash + 1 : path, (struct str){data, len}, err);
    free(data);
    return rc;
}

/* A megabyte in one piece of what careless code is quadratic on: one text after the other. */
static enum err_code measure_hostile(struct tokenizer *t, struct err *err)
{
    static const char *const units[] = {
        "a",  " ", "\n",     "7",        "-",        "e\u0301", "q\u0307\u0323",
        "字", "😀", "\u2581", "\xed\xa0", "<|eot_id|"};
    enum err_code rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && i <= sizeof units / sizeof *units; i++) {
        bool is_random = i == sizeof units / sizeof *units;
        struct strbuf text = {0};
        struct token_list list = {0};
        struct rng rng = rng_new(1, "letters");
        while (text.len < HOSTILE_BYTES) {
            if (is_random)
                strbuf_putc(&text, (char)('a' + rng_below(&rng, 26)));
            else
                strbuf_puts(&text, units[i]);
        }
        double start = cpu_now();
        rc = tokenizer_encode(t, (struct str){text.data, text.len}, &list, err);
        double seconds = cpu_now() - start;
        printf("1 MB of %-16s %6.1f MB/s   %zu tokens\n",
               is_random ? "random letters"
               : i == 10 ? "lone surrogates"
                         : units[i],
               (double)text.len * 1e-6 / seconds, list.count);
        strbuf_release(&text);
        token_list_release(&list);
    }
    return rc;
}

/* Into a cache folder of our own, so that the first load is one. */
static enum err_code measure_model(const char *model, char **texts, int count, struct err *err)
{
    char folder[] = "/tmp/bench-tokenizer-XXXXXX";
    struct tokenizer *t = NULL;
    if (!mkdtemp(folder) || setenv("XDG_CACHE_HOME", folder, 1) != 0)
        return err_set(err, ERR_IO, "make a folder in /tmp");
    enum err_code rc = ERR_OK;
    for (int round = 0; rc == ERR_OK && round <= ROUNDS; round++) {
        tokenizer_free(t);
        t = NULL;
        int64_t start_ns = clock_mono_ns();
        double start = cpu_now();
        rc = tokenizer_load(model, &t, err);
        printf("%s load %.3f s of the processor, %.3f s in all\n", round ? "later" : "first",
               cpu_now() - start, (double)(clock_mono_ns() - start_ns) * 1e-9);
    }
    for (int i = 0; rc == ERR_OK && i < count; i++)
        rc = measure_file(t, texts[i], err);
    if (rc == ERR_OK)
        rc = measure_hostile(t, err);
    tokenizer_free(t);
    enum err_code removed = file_remove_tree(folder, rc == ERR_OK ? err : NULL);
    return rc == ERR_OK ? removed : rc;
}

static enum err_code measure_training(struct str text, int32_t vocabulary, struct err *err)
{
    struct tokenizer *tokenizer = NULL;
    double start = cpu_now();
    enum err_code rc = train(text, vocabulary, &tokenizer, err);
    if (rc != ERR_OK)
        return rc;
    printf("train   %.2f MB to %d entries: %.3f s\n", (double)text.len * 1e-6,
           tokenizer_vocabulary(tokenizer), cpu_now() - start);
    rc = measure_text(tokenizer, "the text itself", text, err);
    tokenizer_free(tokenizer);
    return rc;
}

int main(int argc, char **argv)
{
    struct err err;
    char *data = NULL;
    size_t len = 0;
    enum err_code rc;
    if (argc > 2 && strcmp(argv[1], "--model") == 0) {
        rc = measure_model(argv[2], argv + 3, argc - 3, &err);
    } else if (argc > 1 && argv[1][0] != '-') {
        int32_t vocabulary = argc > 2 ? (int32_t)strtol(argv[2], NULL, 10) : VOCABULARY;
        rc = file_read(argv[1], 0, &data, &len, &err);
        if (rc == ERR_OK)
            rc = measure_training((struct str){data, len}, vocabulary, &err);
        free(data);
    } else {
        fprintf(stderr, "usage: bench_tokenizer FILE [VOCABULARY]\n"
                        "       bench_tokenizer --model MODEL [TEXT…]\n");
        return 2;
    }
    if (rc != ERR_OK)
        fprintf(stderr, "bench_tokenizer: %s\n", err.text);
    return rc == ERR_OK ? 0 : 1;
}
