/* What tests/oracle/families_torch.py wrote: a small model's sequences, loss, logits, gradients and
 * the loss of 20 training steps. */
#ifndef TRIAD_FAMILY_GOLDEN_H
#define TRIAD_FAMILY_GOLDEN_H

#include <jansson.h>

#include "corpus.h"
#include "model.h"
#include "trainer.h"

enum { GOLDEN_SEQUENCES_MAX = 32 };

struct golden {
    json_t *root;
    struct model_config config;
    struct corpus corpus; /* the sequences; every loss token is content of example 0 */
    struct train_options train;
    json_t *tensor_header;
    char *tensor_bytes;
    const char *tensor_data;
};

/* The names of the small models, of all three families. */
extern const char *const golden_cases[];
extern const size_t golden_case_count;

/* Fails the running test when a file is missing or odd. */
void golden_load(struct golden *golden, const char *name);
/* Only the configuration and the tensors. */
void golden_load_model(struct golden *golden, const char *name);
void golden_release(struct golden *golden);

/* A new model with the oracle's weights, which follow from the configuration. */
struct model *golden_model(const struct golden *golden);
struct model *golden_model_of(const struct model_config *config);
/* Values of a stored tensor, "logits" or "grad.<name>"; their number into `count_out`. */
const float *golden_tensor(const struct golden *golden, const char *name, size_t *count_out);
/* weight_value() of tests/oracle/family_cases.py. */
double golden_weight_value(size_t tensor, size_t element);
double golden_number(const json_t *object, const char *key);

/* The corpus as the model takes it; returns the number of sequences. */
size_t golden_sequences(const struct corpus *corpus, struct model_sequence *out);

/* A test once more, with products on factors rounded to bf16. */
#define GOLDEN_TEST_HALF(test)                                                                     \
    {                                                                                              \
#test " (bf16)", test, golden_half_begin, golden_half_end, NULL                            \
    }
int golden_half_begin(void **state);
int golden_half_end(void **state);
/* Do products round their factors to bf16 now? */
bool golden_is_half(void);

#endif
