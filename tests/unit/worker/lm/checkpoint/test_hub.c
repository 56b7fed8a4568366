/* worker/lm hf_cache, checkpoint_files, chat_template: what surrounds a checkpoint's weights. */
#include "cmocka_all.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arena.h"
#include "chat_template.h"
#include "checkpoint.h"
#include "checkpoint_files.h"
#include "checkpoint_turns.h"
#include "file.h"
#include "hf_cache.h"
#include "tokenizer.h"

#define COMMIT "0123456789abcdef0123456789abcdef01234567"

static struct arena arena;
static char root[64];

static void must(enum err_code rc, const struct err *err)
{
    if (rc != ERR_OK)
        fail_msg("%s", err->text);
}

static int begin(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/triad-hub-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    struct err err;
    arena_release(&arena);
    return file_remove_tree(root, &err) == ERR_OK ? 0 : -1;
}

static const char *path(const char *name)
{
    return arena_printf(&arena, "%s/%s", root, name);
}

static void put(const char *name, const char *text)
{
    struct err err;
    const char *file = path(name);
    char *folder = arena_strdup(&arena, file);
    *strrchr(folder, '/') = '\0';
    must(file_mkdirs(folder, 0755, &err), &err);
    must(file_write_atomic(file, text, strlen(text), 0644, &err), &err);
}

static const char *get(const char *name)
{
    struct err err;
    char *text = NULL;
    size_t len = 0;
    must(file_read(path(name), 0, &text, &len, &err), &err);
    const char *kept = arena_strndup(&arena, text, len);
    free(text);
    return kept;
}

static void expect_failure(const char *reference, enum err_code code, const char *says)
{
    struct hf_snapshot snapshot;
    struct err err = {0};
    assert_int_equal(hf_resolve(reference, &arena, &snapshot, &err), code);
    if (!strstr(err.text, says))
        fail_msg("'%s' does not say '%s'", err.text, says);
}

static void references_are_found_in_the_cache(void **state)
{
    (void)state;
    struct err err;
    struct hf_snapshot s;
    setenv("HF_HUB_CACHE", root, 1);
    put("models--Org--Model.x/refs/main", COMMIT);
    put("models--Org--Model.x/refs/refs/pr/3", COMMIT "\n");
    put("models--Org--Model.x/refs/broken", "../../../etc");
    put("models--Org--Model.x/refs/gone", "ffffffffffffffffffffffffffffffffffffffff");
    put("models--Org--Model.x/snapshots/" COMMIT "/config.json", "{}");
    static const char *const names[] = {"hf:Org/Model.x", "hf:Org/Model.x@main",
                                        "hf:Org/Model.x@refs/pr/3", ("hf:Org/Model.x@" COMMIT)};
    for (size_t i = 0; i < 4; i++) {
        must(hf_resolve(names[i], &arena, &s, &err), &err);
        assert_string_equal(s.repository, "Org/Model.x");
        assert_string_equal(s.commit, COMMIT);
        assert_string_equal(s.folder, path("models--Org--Model.x/snapshots/" COMMIT));
    }
    assert_string_equal(s.revision, COMMIT);
    expect_failure("hf:Org/Other", ERR_NOT_FOUND, "hf download Org/Other --revision main");
    expect_failure("hf:Org/Model.x@v2", ERR_NOT_FOUND, "revisions there: ");
    expect_failure("hf:Org/Model.x@gone", ERR_NOT_FOUND, "at revision 'gone'");
    expect_failure("hf:Org/Model.x@broken", ERR_CORRUPT, "is no commit");
    static const char *const wrong[] = {
        "hf:",       "hf:Org",         "hf:Org/",       "hf:/Model",     "hf:Org/a/b", "hf:Org/..",
        "hf:Org/M@", "hf:Org/M@../..", "hf:Org/M@a//b", "hf:Org/M@/etc", "hf:O g/M"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        expect_failure(wrong[i], ERR_INVALID, "hf:ORG/NAME@REVISION");
    unsetenv("HF_HUB_CACHE");
}

static void the_cache_is_where_its_variables_say(void **state)
{
    (void)state;
    static const char *const all[] = {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME",
                                      "XDG_CACHE_HOME", "HOME"};
    static const char *const expected[] = {"/t", "/t", "/t/hub", "/t/huggingface/hub",
                                           "/t/.cache/huggingface/hub"};
    for (size_t i = 0; i < 5; i++) {
        for (size_t k = 0; k < 5; k++)
            unsetenv(all[k]);
        setenv(all[i], "/t", 1);
        for (size_t k = i + 1; k < 5; k++)
            setenv(all[k], "/elsewhere", 1);
        assert_string_equal(hf_cache_folder(&arena), expected[i]);
    }
    for (size_t k = 0; k < 5; k++)
        unsetenv(all[k]);
}

static void expect_files(const char *folder, const char *expected)
{
    struct err err;
    struct strbuf list = {0};
    const char **names = NULL;
    size_t count = 0;
    must(checkpoint_files(path(folder), &arena, &names, &count, &err), &err);
    for (size_t i = 0; i < count; i++)
        strbuf_printf(&list, "%s ", names[i]);
    assert_string_equal(strbuf_text(&list), expected);
    strbuf_release(&list);
}

static void only_the_models_files_are_taken(void **state)
{
    (void)state;
    struct err err = {0};
    const char **names = NULL;
    size_t count = 0;
    static const char *const others[] = {"config.json",
                                         "pytorch_model.bin",
                                         "consolidated.safetensors",
                                         ".gitattributes",
                                         "model.safetensors.bak",
                                         "chat_template.jinja",
                                         "LICENSE",
                                         "merges.txt",
                                         "trainer_state.json",
                                         "pytorch_model.bin.index.json"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        put(arena_printf(&arena, "m/%s", others[i]), "x");
    assert_int_equal(checkpoint_files(path("m"), &arena, &names, &count, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "has no weights"));
    put("m/model.safetensors.index.json",
        "{\"weight_map\":{\"a\":\"model-2.safetensors\",\"b\":\"model-1.safetensors\","
        "\"c\":\"model-2.safetensors\"}}");
    put("m/model-1.safetensors", "x");
    assert_int_equal(checkpoint_files(path("m"), &arena, &names, &count, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "names 'model-2.safetensors', which is not there"));
    put("m/model-2.safetensors", "x");
    expect_files("m", "LICENSE chat_template.jinja config.json merges.txt model-1.safetensors "
                      "model-2.safetensors model.safetensors.index.json ");
    put("m/model.safetensors", "x");
    expect_files("m", "LICENSE chat_template.jinja config.json merges.txt model.safetensors ");
    assert_int_equal(checkpoint_files(path("none"), &arena, &names, &count, &err), ERR_NOT_FOUND);
}

/* ---- what a new folder has from the old one ---- */

#define CONFIG                                                                                     \
    "{\n  \"architectures\": [\"LlamaForCausalLM\"],\n  \"model_type\": \"llama\",\n  "            \
    "\"hidden_size\": 8,\n  \"num_hidden_layers\": 1,\n  \"num_attention_heads\": 2,\n  "          \
    "\"intermediate_size\": 8,\n  \"vocab_size\": 1024,\n  \"max_position_embeddings\": 32,\n  "   \
    "\"rms_norm_eps\": 1e-05,\n  \"pretraining_tp\": 1,\n  \"torch_dtype\": \"float32\",\n  "      \
    "\"tie_word_embeddings\": true\n}\n"

static void write_like(const char *to, const char *like, enum tensor_dtype dtype, int extra)
{
    struct err err;
    struct model_config config;
    struct params params;
    must(model_config_parse(&config, CONFIG, strlen(CONFIG), "config.json", &err), &err);
    config.vocabulary += extra;
    must(params_init(&params, &config, &err), &err);
    params_randomize(&params, &config, 1, 0.02);
    must(checkpoint_write_like(path(to), path(like), &config, params.tensors, params.tensor_count,
                               NULL, dtype, &err),
         &err);
    params_release(&params);
}

static void small_files_are_carried_through(void **state)
{
    (void)state;
    put("from/config.json", CONFIG);
    put("from/generation_config.json", "{ \"top_k\" : 64 }");
    put("from/tokenizer_config.json", "{\"odd\":1}");
    put("from/tokenizer.json", "whatever it is");
    put("from/chat_template.jinja", "{{ bos_token }}\n");
    put("from/optimizer.bin", "no");
    write_like("same", "from", TENSOR_F32, 0);
    static const char *const names[] = {"config.json", "generation_config.json",
                                        "tokenizer_config.json", "tokenizer.json",
                                        "chat_template.jinja"};
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(get(arena_printf(&arena, "same/%s", names[i])),
                            get(arena_printf(&arena, "from/%s", names[i])));
    assert_false(file_exists(path("same/optimizer.bin")));
    write_like("other", "from", TENSOR_BF16, 3);
    const char *config = get("other/config.json");
    assert_non_null(strstr(config, "\"torch_dtype\": \"bfloat16\""));
    assert_non_null(strstr(config, "\"vocab_size\": 1027"));
    assert_non_null(strstr(config, "\"pretraining_tp\": 1"));
    struct checkpoint *checkpoint = NULL;
    struct err err;
    must(checkpoint_open(path("other"), &checkpoint, &err), &err);
    assert_int_equal(checkpoint_dtype(checkpoint), TENSOR_BF16);
    checkpoint_close(checkpoint);
}

static void the_text_half_becomes_a_model(void **state)
{
    (void)state;
    struct err err;
    struct strbuf text = {0};
    struct model_config config = {.vocabulary = 7};
    put("multi/config.json",
        "{\"architectures\":[\"Gemma3ForConditionalGeneration\"],\"eos_token_id\":[1,106],"
        "\"text_config\":{\"model_type\":\"gemma3_text\",\"vocab_size\":7,\"hidden_size\":4},"
        "\"vision_config\":{\"hidden_size\":9}}");
    must(checkpoint_config_like(path("multi"), &config, TENSOR_F32, &text, &err), &err);
    json_t *json = json_loads(strbuf_text(&text), 0, NULL);
    assert_non_null(json);
    assert_null(json_object_get(json, "vision_config"));
    assert_string_equal(json_string_value(json_object_get(json, "model_type")), "gemma3_text");
    assert_string_equal(
        json_string_value(json_array_get(json_object_get(json, "architectures"), 0)),
        "Gemma3ForCausalLM");
    assert_int_equal(json_array_size(json_object_get(json, "eos_token_id")), 2);
    json_decref(json);
    strbuf_release(&text);
}

/* Through the links of a hub's snapshot; a second name takes no room. */
static void files_are_linked(void **state)
{
    (void)state;
    struct err err;
    struct stat a, b;
    put("blobs/abc", "weights");
    put("snap/config.json", "{}");
    assert_int_equal(symlink("../blobs/abc", path("snap/model.safetensors")), 0);
    must(checkpoint_link(path("snap"), path("taken"), &err), &err);
    assert_int_equal(stat(path("blobs/abc"), &a), 0);
    assert_int_equal(lstat(path("taken/model.safetensors"), &b), 0);
    assert_true(S_ISREG(b.st_mode) && a.st_ino == b.st_ino);
    assert_string_equal(get("taken/config.json"), "{}");
}

/* ---- numbers that are none ---- */

static void bad_numbers_are_named(void **state)
{
    (void)state;
    struct err err = {0};
    struct checkpoint_weights weights;
    struct checkpoint *checkpoint = NULL;
    static const enum tensor_dtype dtypes[] = {TENSOR_F32, TENSOR_BF16};
    put("base/config.json", CONFIG);
    for (int i = 0; i < 2; i++) {
        write_like("nan", "base", dtypes[i], 0);
        must(checkpoint_weights_load(path("nan"), &weights, &err), &err);
        float *down = params_data(&weights.params, TENSOR_MLP_DOWN, 0);
        for (int bad = 0; bad < 2; bad++) {
            down[5 * 8 + 3] = bad ? -(float)INFINITY : (float)NAN;
            must(checkpoint_write_like(path("nan"), path("base"), &weights.config,
                                       weights.params.tensors, weights.params.tensor_count, NULL,
                                       dtypes[i], &err),
                 &err);
            struct checkpoint_weights again = {0};
            assert_int_equal(checkpoint_weights_load(path("nan"), &again, &err), ERR_INVALID);
            assert_non_null(strstr(err.text, "'model.layers.0.mlp.down_proj.weight'"));
            assert_non_null(strstr(err.text, "infinite or NaN at row 5, column 3"));
        }
        must(checkpoint_open(path("nan"), &checkpoint, &err), &err);
        assert_int_equal(checkpoint_check_numbers(checkpoint, &err), ERR_INVALID);
        checkpoint_close(checkpoint);
        checkpoint_weights_release(&weights);
    }
}

/* ---- chat templates ---- */

#define GEMMA_LINE "{{ bos_token }}\n"

static void templates_are_read_from_three_places(void **state)
{
    (void)state;
    struct err err = {0};
    const char *text = NULL;
    put("t/config.json", "{}");
    must(chat_template_read(path("t"), &arena, &text, &err), &err);
    assert_null(text);
    put("t/chat_template.json", "{\"chat_template\":\"c\"}");
    must(chat_template_read(path("t"), &arena, &text, &err), &err);
    assert_string_equal(text, "c");
    put("t/tokenizer_config.json", "{\"chat_template\":[{\"name\":\"tool_use\",\"template\":\"a\"},"
                                   "{\"name\":\"default\",\"template\":\"b\"}]}");
    must(chat_template_read(path("t"), &arena, &text, &err), &err);
    assert_string_equal(text, "b");
    put("t/chat_template.jinja", "j\n");
    must(chat_template_read(path("t"), &arena, &text, &err), &err);
    assert_string_equal(text, "j\n");
    /* As tokenizers without a limit have it. */
    static const char big[] = "{\"model_max_length\": 1000000000000000019884624838656, "
                              "\"chat_template\": \"x\"}";
    must(chat_template_of_config(big, strlen(big), "t.json", &arena, &text, &err), &err);
    assert_string_equal(text, "x");
    static const char wrong[] = "{\"chat_template\":7}";
    assert_int_equal(chat_template_of_config(wrong, strlen(wrong), "t.json", &arena, &text, &err),
                     ERR_INVALID);
    assert_non_null(strstr(err.text, "'chat_template' is neither"));
}

/* The templates that Triad writes (tests/golden/chat) are known, with their turns. */
static void our_templates_are_known(void **state)
{
    (void)state;
    json_t *all = json_load_file(TRIAD_SOURCE_DIR "/tests/golden/chat/templates.json", 0, NULL);
    assert_in_range(json_array_size(all), 8, 100);
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *one = json_array_get(all, i);
        const char *text = json_string_value(json_object_get(one, "text"));
        const char *style = json_string_value(json_object_get(one, "style"));
        const char *format = json_string_value(json_object_get(one, "format"));
        assert_null(chat_template_warning(text, style, &arena));
        assert_string_equal(chat_template_compare(text).label,
                            arena_printf(&arena, "Triad's %s", format));
    }
    json_decref(all);
}

static json_t *load(const char *name)
{
    json_t *loaded = json_load_file(path(name), 0, NULL);
    assert_non_null(loaded);
    return loaded;
}

static void expect_stops(const char *name, const char *expected)
{
    json_t *config = load(name);
    char *list =
        json_dumps(json_object_get(config, "eos_token_id"), JSON_ENCODE_ANY | JSON_COMPACT);
    assert_string_equal(list, expected);
    free(list);
    json_decref(config);
}

static void turns_end_in_every_file(void **state)
{
    (void)state;
    struct err err = {0};
    struct tokenizer *tokenizer = NULL;
    int32_t id;
    must(tokenizer_load(TRIAD_SOURCE_DIR "/tests/golden/stories260K/tokenizer.json", &tokenizer,
                        &err),
         &err);
    must(tokenizer_add_special(tokenizer, "<end>", &id, &err), &err);
    assert_int_equal(id, 512);
    /* Without the other files: one is made. */
    put("t/config.json", "{\"bos_token_id\":0,\"eos_token_id\":2,\"rope_theta\":10000.0,"
                         "\"rms_norm_eps\":1e-05}");
    must(checkpoint_add_turns(path("t"), tokenizer, "<end>", NULL, &err), &err);
    expect_stops("t/config.json", "[2,512]");
    expect_stops("t/generation_config.json", "[2,512]");
    assert_non_null(strstr(get("t/config.json"), "\"rope_theta\": 10000.0"));
    assert_non_null(strstr(get("t/config.json"), "\"rms_norm_eps\": 1e-5\n"));
    assert_non_null(strstr(get("t/generation_config.json"), "\"bos_token_id\": 0"));
    assert_false(file_exists(path("t/chat_template.jinja")));
    /* Once more changes nothing; a file with ids of its own keeps them, and its other keys. */
    put("t/generation_config.json",
        "{\"eos_token_id\":[1,2],\"top_k\":64,\"odd\":0.30000000000000004}");
    put("t/tokenizer_config.json", "{\"chat_template\":\"old\",\"pad\":7,"
                                   "\"model_max_length\":1000000000000000019884624838656}");
    must(checkpoint_add_turns(path("t"), tokenizer, "<end>", "new", &err), &err);
    expect_stops("t/config.json", "[2,512]");
    expect_stops("t/generation_config.json", "[1,2,512]");
    assert_non_null(strstr(get("t/generation_config.json"), "\"top_k\": 64"));
    assert_non_null(strstr(get("t/generation_config.json"), "\"odd\": 0.30000000000000004"));
    assert_string_equal(get("t/chat_template.jinja"), "new");
    json_t *config = load("t/tokenizer_config.json");
    assert_string_equal(json_string_value(json_object_get(config, "chat_template")), "new");
    assert_int_equal(json_integer_value(json_object_get(config, "pad")), 7);
    assert_true(json_real_value(json_object_get(config, "model_max_length")) > 9e29);
    json_decref(config);
    /* null, as of models that do not say it. */
    put("t/config.json", "{\"eos_token_id\":null}");
    must(checkpoint_add_turns(path("t"), tokenizer, "<end>", NULL, &err), &err);
    expect_stops("t/config.json", "[512]");
    put("t/config.json", "{\"eos_token_id\":[10,11,12,13,14,15,16,17]}");
    assert_int_equal(checkpoint_add_turns(path("t"), tokenizer, "<end>", NULL, &err), ERR_LIMIT);
    assert_int_equal(checkpoint_add_turns(path("t"), tokenizer, "<none>", NULL, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "has no token '<none>' to end its turns"));
    tokenizer_free(tokenizer);
}

/* Lines of known templates are known by fingerprints alone, so here are pieces of one that say
 * little: it is compared whole by the tool that made the fingerprints (tests/oracle). */
static void differences_are_named(void **state)
{
    (void)state;
    assert_null(chat_template_warning(NULL, "gemma3", &arena));
    const char *warning = chat_template_warning("{% nothing of ours %}", "gemma3", &arena);
    assert_non_null(strstr(warning, "is not known; turns are written as 'gemma3'"));
    struct chat_template_match m = chat_template_compare(
        GEMMA_LINE "  {%- if messages[0]['role'] == 'system' -%}\r\n\n{{ 'new' }}\n");
    assert_string_equal(m.style, "gemma3");
    assert_false(m.is_known);
    assert_int_equal(m.extra_lines, 1);
    assert_int_equal(m.line_number, 4);
    assert_int_equal(m.line_len, strlen("{{ 'new' }}"));
    assert_true(m.missing_lines > 10);
    warning = chat_template_warning(GEMMA_LINE "{{ 'new' }}", "gemma3", &arena);
    assert_non_null(strstr(warning, "differs from that of Gemma 3 (turns 'gemma3') by 1 lines of "
                                    "its own, the first on line 2: '{{ 'new' }}'"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(references_are_found_in_the_cache, begin, end),
        cmocka_unit_test_setup_teardown(the_cache_is_where_its_variables_say, begin, end),
        cmocka_unit_test_setup_teardown(only_the_models_files_are_taken, begin, end),
        cmocka_unit_test_setup_teardown(small_files_are_carried_through, begin, end),
        cmocka_unit_test_setup_teardown(the_text_half_becomes_a_model, begin, end),
        cmocka_unit_test_setup_teardown(files_are_linked, begin, end),
        cmocka_unit_test_setup_teardown(bad_numbers_are_named, begin, end),
        cmocka_unit_test_setup_teardown(templates_are_read_from_three_places, begin, end),
        cmocka_unit_test_setup_teardown(our_templates_are_known, begin, end),
        cmocka_unit_test_setup_teardown(turns_end_in_every_file, begin, end),
        cmocka_unit_test_setup_teardown(differences_are_named, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
