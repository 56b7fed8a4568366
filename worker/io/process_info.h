/* What /proc says about a process: Linux only, and all of it may be missing. */
#ifndef TRIAD_PROCESS_INFO_H
#define TRIAD_PROCESS_INFO_H

#include <stdbool.h>
#include <stdint.h>

/* Highest resident size (VmHWM) and processor time so far; what cannot be read is left as it is. */
void process_info_memory_peak(int pid, uint64_t *bytes);
void process_info_cpu(int pid, uint64_t *cpu_ms);
/* Bytes that this process has read and written so far, of files and pipes; 0: not known. */
uint64_t process_info_own_io(void);
/* How often the kernel has killed a process of this machine for want of memory (/proc/vmstat,
 * memory control groups included); 0 when it does not say. */
uint64_t process_info_oom_kills(void);
/* All memory of the machine, or of this process's control group if that has less. */
uint64_t process_info_memory_total(void);

#endif
