/* The job spec reader: every kind, and every way to be wrong by name. */
#include "cmocka_all.h"

#include <stdio.h>
#include <string.h>

#include "spec.h"
#include "str.h"

#define HEX "00000000000000000000000000000000000000000000000000000000000000ab"
#define NUMERICS                                                                                   \
    "\"numerics\":{\"backend\":\"packed\",\"core_type\":\"\",\"mode\":\"strict\","                 \
    "\"precision\":\"f32\"},\"numerics_version\":1"
#define TRAIN_MEMBERS                                                                              \
    "\"accumulate\":2,\"batch_sequences\":0,\"batch_tokens\":4096,\"beta1\":0.9,"                  \
    "\"beta2\":0.95,\"checkpoint_steps\":10,\"clip_norm\":1,\"epochs\":1,\"epsilon\":1e-08,"       \
    "\"learning_rate\":0.001,\"loss\":\"outputs\",\"loss_rise_max\":3,\"minimum_lr_ratio\":0.1,"   \
    "\"schedule\":\"cosine\",\"seed\":42,"                                                         \
    "\"sequence_tokens\":512,\"steps\":60,\"warmup_steps\":6,\"weight_decay\":0.1"
#define TRAIN "\"train\":{" TRAIN_MEMBERS "}"
#define SAVED "\"train\":{\"saved_as\":\"bf16\"," TRAIN_MEMBERS "}"

static const char pretrain[] =
    "{\"architecture\":{\"context\":512,\"head_dim\":32,\"heads\":4,\"init_std\":0.02,"
    "\"kind\":\"llama\",\"kv_heads\":2,\"layers\":4,\"mlp\":384,\"norm_eps\":1e-05,"
    "\"rope_theta\":10000,\"tied\":true,\"width\":128},"
    "\"inputs\":{\"data\":\"" HEX "\",\"tokenizer\":\"" HEX "\"},\"kind\":\"pretrain\"," NUMERICS
    ",\"parents\":{}," TRAIN "}";
static const char spectrum[] =
    "{\"embedding_tokens\":[\"<|eot|>\"],\"inputs\":{\"data\":\"" HEX
    "\"},\"kind\":\"spectrum\"," NUMERICS ",\"parents\":{\"embeddings_from\":\"" HEX
    "\",\"start\":\"" HEX "\"}," SAVED ",\"turns\":{\"end\":\"<|eot|>\",\"template\":\"{{ x }}\"}}";
static const char evaluate[] =
    "{\"evaluate\":{\"calibration\":true,\"first\":300,\"format\":\"colon\",\"items\":1200,\"k\":8,"
    "\"kind\":\"scores\",\"restrict\":{\"mode\":\"list\",\"terminators\":false,\"texts\":[\"A\","
    "\"B\"]},"
    "\"sequences\":150,\"suite\":\"steerability\",\"task\":\"flight\"},\"inputs\":{\"data\":\"" HEX
    "\"},\"kind\":\"evaluate\"," NUMERICS ",\"parents\":{\"model\":\"" HEX "\"}}";
static const char import[] =
    "{\"inputs\":{\"checkpoint\":\"" HEX "\"},\"kind\":\"import\",\"layout\":\"llama2c\"," NUMERICS
    ",\"parents\":{},\"seed\":1,\"special_tokens\":[\"<|a|>\",\"<|b|>\"]}";

static void test_each_kind_is_read(void **state)
{
    (void)state;
    struct spec spec;
    struct err err;
    assert_int_equal(spec_parse(pretrain, strlen(pretrain), &spec, &err), ERR_OK);
    assert_int_equal(spec.kind, JOB_PRETRAIN);
    assert_int_equal(spec.architecture.mlp, 384);
    assert_true(spec.architecture.tied);
    assert_true(spec.architecture.rope_theta == 10000.0);
    assert_true(spec.train.learning_rate == 0.001 && spec.train.epsilon == 1e-8);
    assert_int_equal(spec.train.steps, 60);
    assert_int_equal(spec.inputs.count, 2);
    spec_release(&spec);
    assert_int_equal(spec_parse(spectrum, strlen(spectrum), &spec, &err), ERR_OK);
    assert_int_equal(spec.embedding_tokens.count, 1);
    assert_string_equal(spec.embedding_tokens.items[0], "<|eot|>");
    assert_string_equal(spec.train.saved_as, "bf16");
    assert_string_equal(spec.turns.end, "<|eot|>");
    assert_string_equal(spec.turns.chat_template, "{{ x }}");
    assert_int_equal(spec.parents.items[0].digest.bytes[31], 0xab);
    spec_release(&spec);
    assert_int_equal(spec_parse(evaluate, strlen(evaluate), &spec, &err), ERR_OK);
    assert_int_equal(spec.evaluate.items, 1200);
    assert_string_equal(spec.evaluate.kind, "scores");
    assert_int_equal(spec.evaluate.first, 300);
    assert_true(spec.evaluate.calibration && !spec.evaluate.restrict_to.terminators);
    assert_string_equal(spec.evaluate.restrict_to.mode, "list");
    assert_string_equal(spec.evaluate.restrict_to.texts.items[1], "B");
    assert_string_equal(spec.numerics.mode, "strict");
    spec_release(&spec);
    assert_int_equal(spec_parse(import, strlen(import), &spec, &err), ERR_OK);
    assert_string_equal(spec.layout, "llama2c");
    assert_int_equal(spec.special_tokens.count, 2);
    spec_release(&spec);
}

/* `base` with the first `from` replaced by `to` must be refused with exactly this text. */
static void refuse(const char *base, const char *from, const char *to, const char *text)
{
    struct strbuf wrong = {0};
    const char *at = strstr(base, from);
    assert_non_null(at);
    strbuf_append(&wrong, base, (size_t)(at - base));
    strbuf_puts(&wrong, to);
    strbuf_puts(&wrong, at + strlen(from));
    struct spec spec;
    struct err err;
    assert_int_equal(spec_parse(wrong.data, wrong.len, &spec, &err), ERR_INVALID);
    assert_string_equal(err.text, text);
    strbuf_release(&wrong);
}

static void test_what_is_wrong_is_refused_by_name(void **state)
{
    (void)state;
    refuse(pretrain, "\"learning_rate\"", "\"lerning_rate\"",
           "job spec: unknown key 'train.lerning_rate', did you mean 'learning_rate'?");
    refuse(pretrain, "\"kind\":\"pretrain\"", "\"kind\":\"pretrain\",\"evaluate\":{}",
           "job spec: unknown key 'evaluate'");
    refuse(pretrain, ",\"width\":128", "", "job spec: key 'architecture.width' is missing");
    refuse(pretrain, "\"layers\":4", "\"layers\":4.5",
           "job spec: 'architecture.layers' must be an integer");
    refuse(pretrain, "\"layers\":4", "\"layers\":0",
           "job spec: 'architecture.layers' is 0, not within 1 … 2.14748e+09");
    refuse(pretrain, "\"tied\":true", "\"tied\":1",
           "job spec: 'architecture.tied' must be true or false");
    refuse(pretrain, "\"schedule\":\"cosine\"", "\"schedule\":\"cosin\"",
           "job spec: 'train.schedule' is 'cosin', not one of linear|cosine|constant");
    refuse(spectrum, "\"saved_as\":\"bf16\"", "\"saved_as\":\"f16\"",
           "job spec: 'train.saved_as' is 'f16', not one of f32|bf16");
    refuse(pretrain, "\"data\":\"00", "\"data\":\"zz",
           "job spec: 'inputs.data' must be 64 hexadecimal digits");
    refuse(import, "[\"<|a|>\",\"<|b|>\"]", "[1]", "job spec: 'special_tokens' must be a text");
    refuse(spectrum, "\"end\":\"<|eot|>\",", "", "job spec: key 'turns.end' is missing");
    refuse(evaluate, "\"kind\":\"evaluate\"", "\"kind\":\"judge\"",
           "job spec: 'kind' must be one of import, pretrain, instruct, spectrum, evaluate");
    refuse(evaluate, "\"numerics_version\":1", "\"numerics_version\":0",
           "job spec: 'numerics_version' is 0, not within 1 … 2.14748e+09");
    refuse(evaluate, "\"kind\":\"scores\"", "\"kind\":\"guesses\"",
           "job spec: 'evaluate.kind' is 'guesses', not one of scores|choices|samples");
    refuse(evaluate, "\"texts\":[\"A\",\"B\"]", "\"texts\":[\"A\",3]",
           "job spec: 'evaluate.restrict.texts' must be a text");
    struct spec spec;
    assert_int_equal(spec_parse("", 0, &spec, NULL), ERR_INVALID);
    assert_int_equal(spec_parse("[]", 2, &spec, NULL), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_kind_is_read),
        cmocka_unit_test(test_what_is_wrong_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
