/* Training against PyTorch's AdamW (20 steps with warm-up, cosine, accumulation and clipping),
 * resume bit for bit, and what happens when numbers blow up. What concerns bits also with products
 * on bf16 factors (how near those come to f32: test_half.c). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"
#include "file.h"
#include "family_golden.h"
#include "kernels.h"

struct history {
    struct train_metrics steps[64];
    size_t count;
    int64_t stop_at; /* 0: never */
    int checkpoints;
};

static void on_step(void *ctx, const struct train_metrics *metrics)
{
    struct history *h = ctx;
    assert_true(h->count < 64);
    h->steps[h->count++] = *metrics;
}

static bool should_stop(void *ctx)
{
    const struct history *h = ctx;
    return h->stop_at > 0 && (int64_t)h->count >= h->stop_at;
}

static enum err_code count_checkpoint(void *ctx, struct trainer *trainer, struct err *err)
{
    struct history *h = ctx;
    (void)trainer;
    (void)err;
    h->checkpoints++;
    return ERR_OK;
}

static struct trainer *make_trainer(struct model *model, const struct golden *g,
                                    const struct train_options *options)
{
    struct trainer *trainer = NULL;
    struct err err;
    if (trainer_new(model, &g->corpus, options, &trainer, &err) != ERR_OK)
        fail_msg("%s", err.text);
    return trainer;
}

static struct train_result run(struct trainer *trainer, struct history *history)
{
    struct train_hooks hooks = {history, on_step, should_stop, count_checkpoint};
    struct train_result result;
    struct err err;
    if (trainer_run(trainer, &hooks, &result, &err) != ERR_OK)
        fail_msg("%s", err.text);
    return result;
}

/* Largest relative distance of the losses from the golden ones. */
static double loss_distance(const struct history *h, const json_t *golden_steps)
{
    double worst = 0;
    assert_int_equal(h->count, json_array_size(golden_steps));
    for (size_t i = 0; i < h->count; i++) {
        double expected = golden_number(json_array_get(golden_steps, i), "loss");
        worst = fmax(worst, fabs(h->steps[i].loss_nats / expected - 1));
    }
    return worst;
}

static void twenty_steps_agree_with_pytorch(void **state)
{
    (void)state;
    for (size_t k = 0; k < golden_case_count; k++) {
        struct golden g;
        struct history h = {0};
        golden_load(&g, golden_cases[k]);
        const json_t *steps = json_object_get(g.root, "steps");
        struct model *model = golden_model(&g);
        struct trainer *trainer = make_trainer(model, &g, &g.train);
        assert_int_equal(run(trainer, &h).outcome, TRAIN_DONE);
        print_message("%s: losses of twenty steps differ by %.1e\n", golden_cases[k],
                      loss_distance(&h, steps));
        assert_true(loss_distance(&h, steps) < 1e-4);
        for (size_t i = 0; i < h.count; i++) {
            const json_t *expected = json_array_get(steps, i);
            assert_true(fabs(h.steps[i].rate - golden_number(expected, "lr")) < 1e-12);
            assert_true(fabs(h.steps[i].grad_norm / golden_number(expected, "grad_norm") - 1) <
                        1e-3);
        }
        trainer_free(trainer);
        model_free(model);
        golden_release(&g);
    }
}

/* Negative control: each switch, left out, must be visible in the losses. */
static void the_losses_notice_a_missing_ingredient(void **state)
{
    (void)state;
    struct golden g;
    golden_load(&g, "llama-untied");
    struct train_options changed[4] = {g.train, g.train, g.train, g.train};
    changed[0].optimizer.clip_norm = 0;
    changed[1].optimizer.weight_decay = 0;
    changed[2].accumulate = 1;
    changed[3].schedule.kind = SCHEDULE_LINEAR;
    for (size_t k = 0; k < 4; k++) {
        struct history h = {0};
        struct model *model = golden_model(&g);
        struct trainer *trainer = make_trainer(model, &g, &changed[k]);
        run(trainer, &h);
        assert_true(loss_distance(&h, json_object_get(g.root, "steps")) > 1e-3);
        trainer_free(trainer);
        model_free(model);
    }
    golden_release(&g);
}

static void check_resume(const char *name)
{
    char folder[] = "/tmp/test_trainer.XXXXXX";
    struct err err;
    struct golden g;
    assert_non_null(mkdtemp(folder));
    golden_load(&g, name);
    g.train.steps = 10;
    struct model *whole = golden_model(&g), *half = golden_model(&g), *other = golden_model(&g);
    struct history whole_history = {0}, half_history = {.stop_at = 5}, rest_history = {0};
    struct trainer *trainer = make_trainer(whole, &g, &g.train);
    assert_int_equal(run(trainer, &whole_history).outcome, TRAIN_DONE);
    trainer_free(trainer);

    trainer = make_trainer(half, &g, &g.train);
    struct train_result result = run(trainer, &half_history);
    assert_int_equal(result.outcome, TRAIN_STOPPED);
    assert_int_equal(result.step, 5);
    assert_int_equal(trainer_save(trainer, folder, &err), ERR_OK);
    trainer_free(trainer);

    /* A fresh process would read the weights from the checkpoint: here they are copied. */
    size_t bytes = model_params(whole)->element_count * sizeof(float);
    memcpy(model_params(other)->block, model_params(half)->block, bytes);
    assert_memory_not_equal(model_params(half)->block, model_params(whole)->block, bytes);
    trainer = make_trainer(other, &g, &g.train);
    if (trainer_load(trainer, folder, &err) != ERR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(trainer_step(trainer), 5);
    assert_int_equal(run(trainer, &rest_history).outcome, TRAIN_DONE);
    assert_int_equal(rest_history.count, 5);
    assert_memory_equal(model_params(other)->block, model_params(whole)->block, bytes);
    trainer_free(trainer);

    /* The same state does not fit a run with another learning rate. */
    struct train_options changed = g.train;
    changed.schedule.learning_rate *= 2;
    trainer = make_trainer(other, &g, &changed);
    assert_int_equal(trainer_load(trainer, folder, &err), ERR_CONFLICT);
    assert_int_equal(trainer_step(trainer), 0);
    trainer_free(trainer);

    assert_int_equal(file_remove_tree(folder, &err), ERR_OK);
    model_free(other);
    model_free(half);
    model_free(whole);
    golden_release(&g);
}

static void resume_continues_bit_for_bit(void **state)
{
    (void)state;
    check_resume("llama-tied");
    check_resume("qwen3-untied");
    check_resume("gemma3-tied");
}

/* Two runs, of which the second computes activations twice, or works on other threads. */
static void check_bits(const char *name, bool again, int threads)
{
    struct golden g;
    struct history runs[2] = {{.count = 0}, {.count = 0}};
    struct model *models[2];
    size_t bytes[2];
    golden_load(&g, name);
    g.train.steps = 6;
    for (size_t i = 0; i < 2; i++) {
        g.train.recompute = i && again ? TRAIN_RECOMPUTE_ALWAYS : TRAIN_RECOMPUTE_NEVER;
        kernel_threads_set(i ? threads : 1);
        models[i] = golden_model(&g);
        struct trainer *trainer = make_trainer(models[i], &g, &g.train);
        run(trainer, &runs[i]);
        bytes[i] = trainer_memory(trainer)->activations;
        trainer_free(trainer);
    }
    assert_true(!again || bytes[1] < bytes[0]);
    for (size_t i = 0; i < runs[0].count; i++) {
        assert_true(runs[0].steps[i].loss_nats == runs[1].steps[i].loss_nats);
        assert_true(runs[0].steps[i].grad_norm == runs[1].steps[i].grad_norm);
    }
    assert_memory_equal(model_weights(models[0])->block, model_weights(models[1])->block,
                        model_weights(models[0])->element_count * sizeof(float));
    model_free(models[0]);
    model_free(models[1]);
    golden_release(&g);
}

/* Computing activations twice is told by memory, and by no bit. */
static void recomputing_changes_no_bit(void **state)
{
    (void)state;
    for (size_t k = 0; k < golden_case_count; k++)
        check_bits(golden_cases[k], true, 1);
}

static void threads_change_no_bit(void **state)
{
    (void)state;
    for (size_t k = 0; k < golden_case_count; k++)
        check_bits(golden_cases[k], k % 2 == 0, 3);
}

static void memory_decides_about_recomputing(void **state)
{
    (void)state;
    struct golden g;
    struct err err;
    struct trainer *trainer = NULL;
    struct strbuf text = {0};
    golden_load(&g, "llama-untied");
    struct model *model = golden_model(&g);
    trainer = make_trainer(model, &g, &g.train);
    const struct train_memory kept = *trainer_memory(trainer);
    trainer_free(trainer);
    assert_false(kept.again);
    assert_int_equal(kept.all, kept.weights + kept.gradients + kept.moments + kept.activations +
                                   kept.kernels + kept.adapter);
    assert_int_equal(kept.moments, 2 * kept.weights);
    assert_true(kept.layer_activations * 3 < kept.activations);
    /* One byte too few. */
    g.train.memory_bytes_max = kept.all - 1;
    trainer = make_trainer(model, &g, &g.train);
    const struct train_memory again = *trainer_memory(trainer);
    trainer_free(trainer);
    assert_true(again.again && again.all < kept.all);
    assert_true(again.layer_activations < kept.layer_activations / 5);
    train_memory_print(&again, g.train.memory_bytes_max, &text);
    assert_non_null(strstr(text.data, "memory plan: "));
    assert_non_null(strstr(text.data, "= 3 layers of "));
    assert_non_null(strstr(text.data, "activations (computed twice)"));
    strbuf_release(&text);
    /* Forbidden, or still too much: refused, with the numbers. */
    g.train.recompute = TRAIN_RECOMPUTE_NEVER;
    assert_int_equal(trainer_new(model, &g.corpus, &g.train, &trainer, &err), ERR_LIMIT);
    assert_null(strstr(err.text, "computed twice"));
    g.train.recompute = TRAIN_RECOMPUTE_AUTO;
    g.train.memory_bytes_max = again.all - 1;
    assert_int_equal(trainer_new(model, &g.corpus, &g.train, &trainer, &err), ERR_LIMIT);
    assert_non_null(strstr(err.text, "even with activations computed twice"));
    model_free(model);
    golden_release(&g);
}

/* Gradients of one sequence, alone or behind others that teach nothing. */
static void gradients_of(const struct golden *g, struct model *model, bool packed,
                         struct params *gradients)
{
    struct model_sequence all[GOLDEN_SEQUENCES_MAX];
    struct token_score scores[64];
    struct model_run *run = NULL;
    struct err err;
    static const uint8_t nothing[128] = {0};
    golden_sequences(&g->corpus, all);
    struct model_sequence batch[3] = {all[2], all[4], all[9]};
    batch[0].losses = batch[1].losses = nothing;
    struct model_capacity capacity = {3, 256, 64, 128};
    assert_int_equal(params_init_like(gradients, model_weights(model), &err), ERR_OK);
    assert_int_equal(model_run_new(model, MODEL_TRAIN, &capacity, &run, &err), ERR_OK);
    model_forward(run, packed ? batch : batch + 2, packed ? 3 : 1, scores);
    model_backward(run, 0.1, gradients);
    model_run_free(run);
}

/* Attention and positions never cross: what lies beside a sequence in its micro-batch teaches it
 * nothing, and learns nothing from it. */
static void packed_sequences_do_not_meet(void **state)
{
    (void)state;
    for (size_t k = 0; k < golden_case_count; k++) {
        struct golden g;
        struct params alone, packed;
        golden_load(&g, golden_cases[k]);
        struct model *model = golden_model(&g);
        gradients_of(&g, model, false, &alone);
        gradients_of(&g, model, true, &packed);
        float largest = 0, distance = 0;
        for (size_t i = 0; i < alone.element_count; i++) {
            largest = fmaxf(largest, fabsf(alone.block[i]));
            distance = fmaxf(distance, fabsf(alone.block[i] - packed.block[i]));
        }
        assert_true(largest > 0 && distance <= 1e-6f * largest);
        params_release(&alone);
        params_release(&packed);
        model_free(model);
        golden_release(&g);
    }
}

static void damaged_state_is_refused(void **state)
{
    (void)state;
    char folder[] = "/tmp/test_trainer.XXXXXX", path[128];
    struct err err;
    struct golden g;
    assert_non_null(mkdtemp(folder));
    golden_load(&g, "llama-tied");
    struct model *model = golden_model(&g);
    struct trainer *trainer = make_trainer(model, &g, &g.train);
    assert_int_equal(trainer_load(trainer, folder, &err), ERR_NOT_FOUND);
    assert_int_equal(trainer_save(trainer, folder, &err), ERR_OK);
    assert_int_equal(trainer_load(trainer, folder, &err), ERR_OK);
    snprintf(path, sizeof path, "%s/optimizer.safetensors", folder);
    assert_int_equal(file_write_atomic(path, "short", 5, 0600, &err), ERR_OK);
    assert_int_equal(trainer_load(trainer, folder, &err), ERR_CORRUPT);
    snprintf(path, sizeof path, "%s/trainer_state.json", folder);
    assert_int_equal(file_write_atomic(path, "{\"step\":", 8, 0600, &err), ERR_OK);
    assert_int_equal(trainer_load(trainer, folder, &err), ERR_CORRUPT);
    assert_int_equal(file_remove_tree(folder, &err), ERR_OK);
    trainer_free(trainer);
    model_free(model);
    golden_release(&g);
}

static void divergence_is_an_outcome_and_changes_nothing(void **state)
{
    (void)state;
    struct golden g;
    struct history h = {0};
    golden_load(&g, "llama-tied");
    struct model *model = golden_model(&g);
    struct params *p = model_params(model);
    p->block[3] = NAN;
    size_t bytes = p->element_count * sizeof(float);
    float *before = malloc(bytes);
    assert_non_null(before);
    memcpy(before, p->block, bytes);
    struct trainer *trainer = make_trainer(model, &g, &g.train);
    struct train_result result = run(trainer, &h);
    assert_int_equal(result.outcome, TRAIN_DIVERGED);
    assert_int_equal(result.step, 0);
    assert_true(isnan(result.last.loss_nats));
    assert_int_equal(h.count, 1); /* the bad point is reported */
    assert_memory_equal(before, p->block, bytes);
    free(before);
    trainer_free(trainer);
    model_free(model);
    golden_release(&g);
}

/* A rate far too high: the loss climbs without becoming NaN. The weights that stay are those before
 * the step that passed the bound, and no checkpoint is taken on the way up. */
static void a_rising_loss_stops_the_run(void **state)
{
    (void)state;
    struct golden g;
    struct history h = {0};
    golden_load(&g, "llama-tied");
    g.train.steps = 60;
    g.train.checkpoint_steps = 1;
    g.train.schedule = (struct schedule){.kind = SCHEDULE_CONSTANT, .learning_rate = 1};
    g.train.optimizer.clip_norm = 0;
    g.train.loss_rise_max = 2;
    struct model *model = golden_model(&g);
    struct trainer *trainer = make_trainer(model, &g, &g.train);
    assert_false(trainer_is_rising(trainer));
    struct train_result result = run(trainer, &h);
    assert_int_equal(result.outcome, TRAIN_ROSE);
    assert_true(trainer_is_rising(trainer));
    assert_in_range(result.step, 1, 58);
    assert_true(isfinite(result.last.loss_nats));
    assert_true(loss_watch_rise(&result.watch) > 2);
    assert_int_equal(h.count, result.step + 1);
    assert_true(h.checkpoints < result.step);
    trainer_free(trainer);
    model_free(model);
    /* Stopped on the way up, a step before: whoever stopped it must know. */
    h = (struct history){.stop_at = result.step};
    model = golden_model(&g);
    trainer = make_trainer(model, &g, &g.train);
    assert_int_equal(run(trainer, &h).outcome, TRAIN_STOPPED);
    assert_true(trainer_is_rising(trainer));
    trainer_free(trainer);
    model_free(model);
    /* Without the bound it goes on. */
    h = (struct history){.stop_at = result.step + 2};
    g.train.loss_rise_max = 0;
    model = golden_model(&g);
    trainer = make_trainer(model, &g, &g.train);
    assert_int_equal(run(trainer, &h).outcome, TRAIN_STOPPED);
    assert_false(trainer_is_rising(trainer));
    trainer_free(trainer);
    model_free(model);
    golden_release(&g);
}

static void the_watch_forgives_one_odd_step(void **state)
{
    (void)state;
    struct loss_watch w = {0};
    for (int i = 0; i < 50; i++)
        w = loss_watch_after(w, i == 20 ? 20 : 5);
    assert_true(w.lowest == 5 && loss_watch_rise(&w) < 0.1);
    w = loss_watch_after(w, 20);
    assert_true(loss_watch_rise(&w) < 1.6);
    for (int i = 0; i < 3; i++)
        w = loss_watch_after(w, 20);
    assert_true(loss_watch_rise(&w) > 4.5);
    w = loss_watch_after(w, NAN);
    assert_true(isnan(w.mean));
}

/* However a step of the same sequences is cut up, it means the same. */
static void accumulation_changes_no_meaning(void **state)
{
    (void)state;
    struct golden g;
    golden_load(&g, "llama-untied");
    static const size_t sizes[] = {1, 60, 100000};
    struct history runs[3] = {{.count = 0}};
    g.train.accumulate = 1;
    g.train.batch_sequences = 5;
    g.train.steps = 9; /* three passes of 5, 5 and 2 sequences */
    for (size_t k = 0; k < 3; k++) {
        g.train.batch_tokens = sizes[k];
        struct model *model = golden_model(&g);
        struct trainer *trainer = make_trainer(model, &g, &g.train);
        run(trainer, &runs[k]);
        trainer_free(trainer);
        model_free(model);
        for (size_t i = 0; i < runs[k].count; i++) {
            assert_int_equal(runs[k].steps[i].token_count, runs[0].steps[i].token_count);
            assert_float_equal(runs[k].steps[i].loss_nats, runs[0].steps[i].loss_nats, 2e-5);
        }
    }
    assert_int_equal(runs[0].count, 9);
    golden_release(&g);
}

static void checkpoints_come_every_so_many_steps(void **state)
{
    (void)state;
    struct golden g;
    struct history h = {0};
    golden_load(&g, "llama-tied");
    g.train.steps = 10;
    g.train.checkpoint_steps = 3;
    struct model *model = golden_model(&g);
    struct trainer *trainer = make_trainer(model, &g, &g.train);
    run(trainer, &h);
    assert_int_equal(h.checkpoints, 3);
    trainer_free(trainer);
    model_free(model);
    golden_release(&g);
}

static void one_pass_is_counted_from_the_data(void **state)
{
    (void)state;
    struct golden g;
    golden_load(&g, "llama-tied");
    g.train.steps = 0;
    struct model *model = golden_model(&g);
    struct trainer *trainer = make_trainer(model, &g, &g.train);
    /* Lengths 5 17 33 | 2 41 12 | 8 26 19 | 50 7 | 31 under 60 tokens, two at a time. */
    assert_int_equal(trainer_steps(trainer), 3);
    trainer_free(trainer);
    g.train.epochs = 4;
    trainer = make_trainer(model, &g, &g.train);
    assert_int_equal(trainer_steps(trainer), 12);
    trainer_free(trainer);
    model_free(model);
    golden_release(&g);
}

static void impossible_options_and_data_are_refused(void **state)
{
    (void)state;
    struct golden g;
    struct err err;
    struct trainer *trainer = NULL;
    golden_load(&g, "llama-tied");
    struct model *model = golden_model(&g);
    struct train_options options = g.train;
    options.accumulate = 0;
    assert_int_equal(trainer_new(model, &g.corpus, &options, &trainer, &err), ERR_INVALID);
    options = g.train;
    options.batch_sequences = 4; /* beside accumulate 2 */
    assert_int_equal(trainer_new(model, &g.corpus, &options, &trainer, &err), ERR_INVALID);
    options = g.train;
    options.optimizer.beta2 = 1;
    assert_int_equal(trainer_new(model, &g.corpus, &options, &trainer, &err), ERR_INVALID);
    options = g.train;
    options.schedule.learning_rate = NAN;
    assert_int_equal(trainer_new(model, &g.corpus, &options, &trainer, &err), ERR_INVALID);
    options = g.train;
    options.memory_bytes_max = 1000;
    assert_int_equal(trainer_new(model, &g.corpus, &options, &trainer, &err), ERR_LIMIT);
    assert_non_null(strstr(err.text, "the job has 0.0 MiB"));
    g.corpus.ids[7] = g.config.vocabulary;
    assert_int_equal(trainer_new(model, &g.corpus, &g.train, &trainer, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "outside the vocabulary"));
    assert_null(trainer);
    model_free(model);
    golden_release(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(twenty_steps_agree_with_pytorch),
        cmocka_unit_test(the_losses_notice_a_missing_ingredient),
        cmocka_unit_test(resume_continues_bit_for_bit),
        cmocka_unit_test(recomputing_changes_no_bit),
        cmocka_unit_test(threads_change_no_bit),
        GOLDEN_TEST_HALF(resume_continues_bit_for_bit),
        GOLDEN_TEST_HALF(recomputing_changes_no_bit),
        GOLDEN_TEST_HALF(threads_change_no_bit),
        cmocka_unit_test(memory_decides_about_recomputing),
        cmocka_unit_test(packed_sequences_do_not_meet),
        cmocka_unit_test(damaged_state_is_refused),
        cmocka_unit_test(divergence_is_an_outcome_and_changes_nothing),
        cmocka_unit_test(a_rising_loss_stops_the_run),
        cmocka_unit_test(the_watch_forgives_one_odd_step),
        cmocka_unit_test(accumulation_changes_no_meaning),
        cmocka_unit_test(checkpoints_come_every_so_many_steps),
        cmocka_unit_test(one_pass_is_counted_from_the_data),
        cmocka_unit_test(impossible_options_and_data_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
