/* What tests/oracle/lora_torch.py printed, and models with the adapters it names. */
#ifndef TRIAD_LORA_GOLDEN_H
#define TRIAD_LORA_GOLDEN_H

#include "adapter.h"
#include "family_golden.h"

enum { LORA_GOLDEN_CASES = 3 };
extern const char *const lora_golden_cases[LORA_GOLDEN_CASES];

/* A case of tests/oracle/lora_torch.py on the model of families_torch.py that it names. */
struct lora_golden {
    struct golden base;
    json_t *root;
    struct safetensors *tensors;
    struct model *model;
    struct adapter adapter;
};

void lora_golden_load(struct lora_golden *g, const char *name);
void lora_golden_release(struct lora_golden *g);
/* Another adapter in place of the case's: detach the one, attach the other, which is new. */
void lora_golden_attach(struct lora_golden *g, const struct adapter_config *config);
void lora_golden_detach(struct lora_golden *g);
/* The weights that the oracle gave its adapter. */
void lora_golden_fill(struct adapter *adapter);

/* Summed loss of some sequences of the corpus, and its gradients if wanted. */
double lora_golden_loss(struct lora_golden *g, const uint32_t *which, size_t count, uint64_t key,
                        struct params *gradients, struct params *model_gradients);

#endif
