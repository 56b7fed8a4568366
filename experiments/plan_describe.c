/* How a training job trains, for people: a line for `triad plan`. */
#include "plan_impl.h"

static void put_batch(const struct jobspec_train *t, struct strbuf *out)
{
    if (t->batch_sequences > 0)
        strbuf_printf(out, "%lld sequences a step, in micro-batches of at most %lld tokens",
                      (long long)t->batch_sequences, (long long)t->batch_tokens);
    else if (t->accumulate > 1)
        strbuf_printf(out, "%lld micro-batches of at most %lld tokens a step",
                      (long long)t->accumulate, (long long)t->batch_tokens);
    else
        strbuf_printf(out, "at most %lld tokens a step", (long long)t->batch_tokens);
}

static void put_shards(const struct jobspec_train *t, struct strbuf *out)
{
    if (t->shards > 1)
        strbuf_printf(out, ", in %lld shards", (long long)t->shards);
}

static void put_lora(const struct jobspec_lora *l, struct strbuf *out)
{
    strbuf_printf(out, "; LoRA of rank %lld, alpha %g, dropout %g on", (long long)l->rank, l->alpha,
                  l->dropout);
    for (int i = 0; i < LORA_TARGET_COUNT; i++) {
        if (l->targets[i])
            strbuf_printf(out, " %s", jobspec_lora_target_names[i]);
    }
    strbuf_puts(out, l->embeddings ? ", embedding trained" : ", embedding fixed");
    strbuf_puts(out, l->head ? ", head trained" : ", head fixed");
}

const char *plan_describe_training(struct arena *arena, const struct manifest_variant *v,
                                   const struct jobspec_train *t)
{
    const struct manifest_stage *stage = &v->stage;
    struct strbuf out = {0};
    if (stage->preset != PRESET_NONE)
        strbuf_printf(&out, "preset %s; ", manifest_preset_names[stage->preset]);
    put_batch(t, &out);
    put_shards(t, &out);
    strbuf_printf(&out, ", sequences of at most %lld; AdamW at %g, %s to %g, warm-up %lld steps",
                  (long long)t->sequence_tokens, t->learning_rate,
                  jobspec_schedule_names[t->schedule], t->learning_rate * t->minimum_lr_ratio,
                  (long long)t->warmup_steps);
    strbuf_printf(&out, ", betas %g %g, epsilon %g, decay %g, clip %g; loss on %s", t->beta1,
                  t->beta2, t->epsilon, t->weight_decay, t->clip_norm, jobspec_loss_names[t->loss]);
    if (v->origin == ORIGIN_INSTRUCT || v->origin == ORIGIN_SPECTRUM)
        strbuf_printf(&out, "; format %s", format_name((enum format)stage->format));
    if (v->origin == ORIGIN_SPECTRUM)
        strbuf_printf(&out, ", description dropped with %g", stage->drop_description);
    if (stage->compat != COMPAT_PAPER)
        strbuf_printf(&out, ", compat %s", manifest_compat_names[stage->compat]);
    if (t->lora.rank > 0)
        put_lora(&t->lora, &out);
    const char *text = arena_strdup(arena, strbuf_text(&out));
    strbuf_release(&out);
    return text;
}
