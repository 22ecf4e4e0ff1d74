/* A plugin for QEMU 6.1 to 8 in user mode that counts executed instructions by their address:
 *   cc -shared -fPIC -O2 count_instructions.c -o count.so; qemu-aarch64 -plugin ./count.so,to=FILE PROGRAM
 * FILE gets a line "address count" (hexadecimal, decimal) for each instruction below 16 MiB that was executed.
 * The interface is declared here, since QEMU's header is not part of its package: version 1. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORTED __attribute__((visibility("default")))
enum { ADDRESSES = 1 << 24, ADD = 0 };

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb *));
extern void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *);
extern void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *, int, void *, uint64_t);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
extern uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);

EXPORTED int qemu_plugin_version = 1;
static uint64_t *counts;
static const char *path;

static void translate(plugin_id id, struct qemu_plugin_tb *block) {
  (void)id;
  for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); i++) {
    struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(block, i);
    uint64_t at = qemu_plugin_insn_vaddr(insn);
    if (at < ADDRESSES) qemu_plugin_register_vcpu_insn_exec_inline(insn, ADD, &counts[at / 2], 1);
  }
}

static void write_counts(plugin_id id, void *unused) {
  (void)id, (void)unused;
  FILE *out = fopen(path, "w");
  for (uint64_t i = 0; out && i < ADDRESSES / 2; i++)
    if (counts[i]) fprintf(out, "%llx %llu\n", (unsigned long long)(2 * i), (unsigned long long)counts[i]);
  if (out) fclose(out);
}

EXPORTED int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
  (void)info;
  for (int i = 0; i < argc; i++)
    if (strncmp(argv[i], "to=", 3) == 0) path = strdup(argv[i] + 3);
  counts = calloc(ADDRESSES / 2, sizeof *counts);
  if (!path || !counts) return 1;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
  qemu_plugin_register_atexit_cb(id, write_counts, NULL);
  return 0;
}
