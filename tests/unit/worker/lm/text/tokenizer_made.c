#include "tokenizer_made.h"

#include <stdlib.h>

#include "cmocka_all.h"
#include "file.h"
#include "tokenizer_train.h"

void made_must(enum err_code rc, const struct err *err)
{
    if (rc != ERR_OK)
        fail_msg("%s", err->text);
}

struct tokenizer *made_from(const char *const *texts, size_t count, int32_t vocabulary)
{
    struct err err;
    struct tokenizer_trainer *trainer = NULL;
    struct tokenizer *t = NULL;
    made_must(tokenizer_trainer_new(&trainer, &err), &err);
    for (size_t i = 0; i < count; i++)
        made_must(tokenizer_trainer_add(trainer, str_from(texts[i]), &err), &err);
    struct tokenizer_train_options options = {vocabulary, tokenizer_family_specials,
                                              TOKENIZER_FAMILY_SPECIALS_COUNT};
    made_must(tokenizer_trainer_finish(trainer, &options, &t, &err), &err);
    tokenizer_trainer_free(trainer);
    return t;
}

struct tokenizer *made_from_license(void)
{
    struct err err;
    char *text = NULL;
    size_t len = 0;
    made_must(file_read(TRIAD_SOURCE_DIR "/LICENSE", 0, &text, &len, &err), &err);
    struct tokenizer *t = made_from((const char *const[]){text}, 1, 1024);
    free(text);
    return t;
}

char *made_read(const char *path, size_t *len)
{
    struct err err;
    char *text = NULL;
    made_must(file_read(path, 0, &text, len, &err), &err);
    return text;
}

struct token_list made_encode(struct tokenizer *t, struct str text)
{
    struct err err;
    struct token_list list = {0};
    made_must(tokenizer_encode(t, text, &list, &err), &err);
    return list;
}
