/* How a manifest's grid compares with the published one it stands for, in the publication's unit.
 */
#include <string.h>

#include "plan.h"

/* A cell, planned or waiting. */
struct place {
    const char *family, *variant;
    uint64_t seed;
    const struct plan_cell *cell; /* NULL while it waits */
};

static size_t place_count(const struct plan *plan)
{
    return plan->cell_count + plan->outline_count;
}

static struct place place_at(const struct plan *plan, size_t i)
{
    if (i < plan->cell_count) {
        const struct plan_cell *c = &plan->cells[i];
        return (struct place){c->family, c->variant, c->seed, c};
    }
    const struct plan_outline *o = &plan->outlines[i - plan->cell_count];
    return (struct place){o->family, o->variant, o->seed, NULL};
}

static bool is_first_of_model(const struct plan *plan, size_t i)
{
    const struct place own = place_at(plan, i);
    for (size_t j = 0; j < i; j++) {
        const struct place other = place_at(plan, j);
        if (strcmp(own.family, other.family) == 0 && strcmp(own.variant, other.variant) == 0 &&
            own.seed == other.seed)
            return false;
    }
    return true;
}

static bool is_trained(const struct plan *plan, const struct place *place)
{
    for (size_t f = 0; f < plan->manifest->family_count; f++) {
        const struct manifest_family *family = &plan->manifest->families[f];
        if (strcmp(family->name, place->family) == 0)
            return manifest_find_variant(family, place->variant)->origin != ORIGIN_CHECKPOINT;
    }
    return false;
}

/* Kinds of prompts that the manifest's coverage entries ask for. */
static size_t component_count(const struct plan *plan)
{
    struct manifest *m = (struct manifest *)(uintptr_t)plan->manifest;
    size_t most = 0;
    for (size_t s = 0; s < m->suite_count; s++) {
        const struct manifest_evaluate settings =
            manifest_evaluate_settings(m, &m->families[0], &m->suites[s], "");
        most = settings.components.count > most ? settings.components.count : most;
    }
    return most;
}

size_t plan_reference_count(const struct plan *plan, size_t *models_out)
{
    size_t models = 0, trained = 0;
    for (size_t i = 0; i < place_count(plan); i++) {
        const struct place place = place_at(plan, i);
        if (!is_first_of_model(plan, i))
            continue;
        models++;
        trained += is_trained(plan, &place);
    }
    *models_out = models;
    switch (plan->manifest->reference.unit) {
    case REFERENCE_COMPONENT:
        return models * component_count(plan);
    case REFERENCE_MODEL:
        return trained;
    default:
        return place_count(plan);
    }
}

void plan_reference_text(const struct plan *plan, struct strbuf *out)
{
    static const char *const units[] = {
        [REFERENCE_TASK] = "a job is one model on one task",
        [REFERENCE_COMPONENT] = "a job is one model with one kind of prompt, on all tasks",
        [REFERENCE_MODEL] = "a job is one model trained",
    };
    const struct manifest_reference *r = &plan->manifest->reference;
    size_t models;
    const size_t ours = plan_reference_count(plan, &models);
    const size_t left_out = r->absent.count * models;
    strbuf_printf(out, "\nIn the published grid's unit (%s): %zu of %lld.\n", units[r->unit], ours,
                  (long long)r->jobs);
    if (r->absent.count > 0) {
        strbuf_puts(out, "  left out: ");
        for (size_t i = 0; i < r->absent.count; i++)
            strbuf_printf(out, "%s%s", i ? ", " : "", r->absent.items[i]);
        strbuf_printf(out, " (%zu x %zu models = %zu)%s%s\n", r->absent.count, models, left_out,
                      r->why[0] ? ": " : "", r->why);
    }
    const long long rest = (long long)r->jobs - (long long)(ours + left_out);
    if (rest == 0)
        strbuf_puts(out, "  nothing else differs\n");
    else
        strbuf_printf(out, "  not explained: %lld\n", rest);
}
