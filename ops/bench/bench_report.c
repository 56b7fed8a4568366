#include "bench_report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "kernels.h"

/* The processor's name from /proc/cpuinfo. */
static void machine_name(char *out, size_t size)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "re");
    snprintf(out, size, "unknown processor");
    while (file && fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');
        if (!colon || strncmp(line, "model name", strlen("model name")) != 0)
            continue;
        snprintf(out, size, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
        break;
    }
    if (file)
        fclose(file);
}

void bench_report_text(struct bench_report *report, const char *name, const char *text)
{
    if (!report->is_silent)
        printf("%-40s %s\n", name, text);
    json_object_set_new(report->root, name, json_string(text));
}

void bench_report_begin(struct bench_report *report, const char *verb, const char *shape,
                        bool is_silent)
{
    char machine[128], threads[16];
    *report = (struct bench_report){.root = json_object(), .is_silent = is_silent};
    machine_name(machine, sizeof machine);
    snprintf(threads, sizeof threads, "%d", kernel_threads());
    bench_report_text(report, "bench", verb);
    bench_report_text(report, "shape", shape);
    bench_report_text(report, "machine", machine);
    bench_report_text(report, "numeric class", kernel_class());
    bench_report_text(report, "OpenBLAS", kernel_library());
    bench_report_text(report, "threads", threads);
    fflush(stdout);
}

void bench_report_figure(struct bench_report *report, const char *name, double value,
                         const char *unit)
{
    if (!report->is_silent)
        printf("%-40s %10.4g %s\n", name, value, unit);
    fflush(stdout);
    json_t *figure = json_object();
    json_object_set_new(figure, "value", json_real(value));
    json_object_set_new(figure, "unit", json_string(unit));
    json_object_set_new(report->root, name, figure);
}

void bench_report_section(struct bench_report *report, const char *title)
{
    if (!report->is_silent)
        printf("%s (processor time)\n  %-26s %10s %7s %9s %8s\n", title, "operation", "ms", "share",
               "GFLOP/s", "GB/s");
    report->ops = json_array();
    json_object_set_new(report->root, title, report->ops);
}

void bench_report_op(struct bench_report *report, const char *name, double ms, double percent,
                     double gflops, double gbytes)
{
    char flops_text[16] = "", bytes_text[16] = "";
    if (gflops > 0)
        snprintf(flops_text, sizeof flops_text, "%.1f", gflops);
    else if (gbytes > 0)
        snprintf(bytes_text, sizeof bytes_text, "%.1f", gbytes);
    if (!report->is_silent)
        printf("  %-26s %10.2f %5.1f %% %9s %8s\n", name, ms, percent, flops_text, bytes_text);
    json_t *op = json_object();
    json_object_set_new(op, "operation", json_string(name));
    json_object_set_new(op, "ms", json_real(ms));
    json_object_set_new(op, "percent", json_real(percent));
    if (gflops > 0)
        json_object_set_new(op, "gflops", json_real(gflops));
    else if (gbytes > 0)
        json_object_set_new(op, "gbytes_per_s", json_real(gbytes));
    json_array_append_new(report->ops, op);
}

enum err_code bench_report_end(struct bench_report *report, const char *path, struct err *err)
{
    enum err_code rc = ERR_OK;
    if (path) {
        char *text = json_dumps(report->root, JSON_INDENT(2));
        rc = text ? file_write_atomic(path, text, strlen(text), 0644, err)
                  : err_set(err, ERR_LIMIT, "bench: no memory for the report");
        free(text);
    }
    json_decref(report->root);
    *report = (struct bench_report){0};
    return rc;
}
