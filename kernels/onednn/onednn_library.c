#include "onednn_library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "onednn_ops.h"

#define LIBRARY "libdnnl.so.2"

static struct onednn functions;
static char lack[192];
static pthread_once_t opened_once = PTHREAD_ONCE_INIT;

static const struct {
    int isa;
    const char *name;
} isas[] = {
    {dnnl_cpu_isa_avx512_core_amx, "avx512_core_amx"},
    {dnnl_cpu_isa_avx512_core_bf16, "avx512_core_bf16"},
};

/* The best that the library uses here of those with bf16; NULL: none. */
static const char *isa_name(void)
{
    const int here = (int)functions.get_effective_cpu_isa();
    for (size_t i = 0; i < sizeof isas / sizeof isas[0]; i++)
        if ((here & isas[i].isa) == isas[i].isa)
            return isas[i].name;
    return NULL;
}

/* ISO C knows no conversion from what dlsym() returns to a function. */
static void find(void *library, const char *name, void *function_out)
{
    *(void **)function_out = dlsym(library, name);
    if (!*(void **)function_out && lack[0] == '\0')
        snprintf(lack, sizeof lack, "%s has no %s()", LIBRARY, name);
}

static void open_once(void)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        snprintf(lack, sizeof lack,
                 "there is no %s (Debian: apt-get install libdnnl2; elsewhere oneDNN 2.x)",
                 LIBRARY);
        return;
    }
#define FIND(NAME) find(library, "dnnl_" #NAME, &functions.NAME);
    ONEDNN_FUNCTIONS(FIND)
#undef FIND
    find(library, "omp_set_num_threads", &functions.omp_set_num_threads);
    if (lack[0] != '\0')
        return;
    if (!isa_name())
        snprintf(lack, sizeof lack, "this processor has neither AVX512-BF16 nor AMX");
    else if (functions.engine_create(&functions.engine, dnnl_cpu, 0) != dnnl_success)
        snprintf(lack, sizeof lack, "%s makes no engine for this processor", LIBRARY);
}

const struct onednn *onednn(void)
{
    pthread_once(&opened_once, open_once);
    return lack[0] == '\0' ? &functions : NULL;
}

const char *onednn_lack(void)
{
    return onednn() ? NULL : lack;
}

void onednn_class(char *text, size_t size)
{
    if (!onednn()) {
        snprintf(text, size, "none");
        return;
    }
    const dnnl_version_t *v = functions.version();
    snprintf(text, size, "%d.%d.%d-%s", v->major, v->minor, v->patch, isa_name());
}

dnnl_stream_t onednn_stream(void)
{
    static _Thread_local dnnl_stream_t stream;
    if (!stream) {
        functions.omp_set_num_threads(1);
        onednn_must(functions.stream_create(&stream, functions.engine, dnnl_stream_default_flags),
                    "make a stream");
    }
    return stream;
}

void onednn_must(dnnl_status_t status, const char *what)
{
    if (status == dnnl_success)
        return;
    fprintf(stderr, "kernels: oneDNN cannot %s: status %d\n", what, (int)status);
    abort();
}
