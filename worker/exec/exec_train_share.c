/* What rank 0 has loaded, for the ranks that share its training: they may run on nodes that see
 * nothing of its files. */
#include <stdlib.h>
#include <string.h>

#include "exec_train_impl.h"

/* All that fits into a fixed size. The ranks are one program, so it travels as it lies in memory.
 */
struct beginning {
    struct model_config config;
    struct adapter_config adapter;
    bool has_adapter;
    uint32_t sequence_count;
    size_t token_count, loss_token_count;
};

static enum err_code room(void *pointer, size_t count, size_t size, struct err *err)
{
    void *memory = calloc(count, size);
    if (!memory)
        return err_set(err, ERR_LIMIT, "no memory for the data of the training");
    memcpy(pointer, &memory, sizeof memory);
    return ERR_OK;
}

/* Space for what comes. Of the corpus, what training looks at. */
static enum err_code make_room(struct training *t, const struct beginning *b, struct err *err)
{
    struct corpus *c = &t->corpus;
    c->sequence_count = b->sequence_count;
    c->loss_token_count = b->loss_token_count;
    enum err_code code = model_new(&b->config, &t->model, err);
    if (!code)
        code = room(&c->ids, b->token_count + 1, sizeof *c->ids, err);
    if (!code)
        code = room(&c->losses, b->token_count + 1, sizeof *c->losses, err);
    if (!code)
        code = room(&c->starts, (size_t)b->sequence_count + 1, sizeof *c->starts, err);
    if (!code)
        code = room(&c->lines, (size_t)b->sequence_count + 1, sizeof *c->lines, err);
    if (!code && b->has_adapter) {
        code = adapter_init(&t->adapter, &b->adapter, model_shape(t->model),
                            model_weights(t->model), (uint64_t)t->context->spec->train.seed, err);
        t->has_adapter = !code;
    }
    return code;
}

enum err_code training_share(struct training *t, struct err *err)
{
    const struct train_group *group = t->context->group;
    struct corpus *c = &t->corpus;
    struct beginning b;
    memset(&b, 0, sizeof b);
    if (group->rank == 0) {
        b.config = *model_shape(t->model);
        b.has_adapter = t->has_adapter;
        if (t->has_adapter)
            b.adapter = t->adapter.config;
        b.sequence_count = c->sequence_count;
        b.token_count = c->starts[c->sequence_count];
        b.loss_token_count = c->loss_token_count;
    }
    enum err_code code = train_group_share(group, &b, sizeof b, err);
    if (code)
        return code;
    if (group->rank > 0)
        code = make_room(t, &b, err);
    code = train_group_agree(group, code, err);
    if (code)
        return code;
    const struct params *weights = model_params(t->model);
    const struct {
        void *bytes;
        size_t len;
    } parts[] = {
        {c->ids, b.token_count * sizeof *c->ids},
        {c->losses, b.token_count * sizeof *c->losses},
        {c->starts, ((size_t)b.sequence_count + 1) * sizeof *c->starts},
        {c->lines, (size_t)b.sequence_count * sizeof *c->lines},
        {weights->block, weights->element_count * sizeof(float)},
        {t->adapter.own.block, t->adapter.own.element_count * sizeof(float)},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts && !code; i++)
        code = train_group_share(group, parts[i].bytes, parts[i].len, err);
    return code;
}
