/* Speed of tokenizers: training on a text, then encoding and counting it with the result.
 *
 *   bench_tokenizer FILE [vocabulary]      (any text; some megabytes say most) */
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "file.h"
#include "tokenizer.h"
#include "tokenizer_train.h"

enum { VOCABULARY = 1024, ROUNDS = 3 };

static double seconds_since(int64_t start_ns)
{
    return (double)(clock_mono_ns() - start_ns) * 1e-9;
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

static enum err_code measure(struct str text, int32_t vocabulary, struct err *err)
{
    struct tokenizer *tokenizer = NULL;
    int64_t start_ns = clock_mono_ns();
    enum err_code rc = train(text, vocabulary, &tokenizer, err);
    if (rc != ERR_OK)
        return rc;
    double megabytes = (double)text.len * 1e-6;
    printf("train   %.2f MB to %d entries: %.3f s\n", megabytes, tokenizer_vocabulary(tokenizer),
           seconds_since(start_ns));
    for (int round = 0; rc == ERR_OK && round < ROUNDS; round++) {
        struct token_list list = {0};
        size_t count = 0;
        start_ns = clock_mono_ns();
        rc = tokenizer_encode(tokenizer, text, &list, err);
        double encode_s = seconds_since(start_ns);
        start_ns = clock_mono_ns();
        if (rc == ERR_OK)
            rc = tokenizer_count(tokenizer, text, &count, err);
        printf("encode  %.1f MB/s   count %.1f MB/s   %zu tokens, %.2f bytes each\n",
               megabytes / encode_s, megabytes / seconds_since(start_ns), count,
               (double)text.len / (double)(count ? count : 1));
        token_list_release(&list);
    }
    tokenizer_free(tokenizer);
    return rc;
}

int main(int argc, char **argv)
{
    struct err err;
    char *data = NULL;
    size_t len = 0;
    if (argc < 2) {
        fprintf(stderr, "usage: bench_tokenizer FILE [vocabulary]\n");
        return 2;
    }
    int32_t vocabulary = argc > 2 ? (int32_t)strtol(argv[2], NULL, 10) : VOCABULARY;
    enum err_code rc = file_read(argv[1], 0, &data, &len, &err);
    if (rc == ERR_OK)
        rc = measure((struct str){data, len}, vocabulary, &err);
    free(data);
    if (rc != ERR_OK)
        fprintf(stderr, "bench_tokenizer: %s\n", err.text);
    return rc == ERR_OK ? 0 : 1;
}
