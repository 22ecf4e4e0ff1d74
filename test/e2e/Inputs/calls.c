/* A QEMU plugin: how many instructions each call takes that one function of the program makes.
 *
 *   -plugin calls.so,at=ADDRESS,bytes=SIZE,to=FILE
 *
 * Writes a line per call, in order: the instructions between the one that calls and the one that runs
 * next in the function. Built without QEMU's header, of which these are the few things needed (version
 * 1 of its interface). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void (*on_block)(uint64_t id, struct qemu_plugin_tb *block);
typedef void (*on_instruction)(unsigned cpu, void *data);
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, on_block callback);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, on_instruction, int flags, void *data);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *, int op, void *counter, uint64_t by);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

static uint64_t begin, end, executed, before;
static FILE *out;

static void on_own(unsigned cpu, void *first) {
  (void)cpu;
  if (!first && executed - before > 1) fprintf(out, "%" PRIu64 "\n", executed - before - 1);
  fflush(out);
  before = executed;
}

static void translate(uint64_t id, struct qemu_plugin_tb *block) {
  (void)id;
  for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); i++) {
    struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(block, i);
    uint64_t at = qemu_plugin_insn_vaddr(instruction);
    qemu_plugin_register_vcpu_insn_exec_inline(instruction, 0, &executed, 1);
    if (at >= begin && at < end)
      qemu_plugin_register_vcpu_insn_exec_cb(instruction, on_own, 0, at == begin ? &out : NULL);
  }
}

__attribute__((visibility("default"))) int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv) {
  (void)info;
  for (int i = 0; i < argc; i++) {
    const char *value = strchr(argv[i], '=') + 1;
    if (strncmp(argv[i], "at=", 3) == 0) begin = strtoull(value, NULL, 0) & ~UINT64_C(1);
    if (strncmp(argv[i], "bytes=", 6) == 0) end = strtoull(value, NULL, 0);
    if (strncmp(argv[i], "to=", 3) == 0) out = fopen(value, "w");
  }
  end += begin;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
  return out ? 0 : 1;
}
