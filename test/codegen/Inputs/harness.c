/* Runs the compiled model `m` on samples, its inputs one after the other, until there are no more;
 * the outputs go out alike. Compiled with m.h for the sizes, linked with linux.c or board.c.
 *
 * init and run get a painted stack and painted memory of exactly the size in the header; what they
 * take of the stack is reported. Tensors are aligned to their elements and no more. They end (every
 * other one: begin) where a page does; where there are pages, the next (the one before) cannot be
 * accessed, and inputs are read-only while the model runs. Where the object has a self-test, it is
 * run too. Exit status 0, or 2: init or run failed, 3: something took more stack than the header
 * says, 4: something wrote where it must not, 5: the self-test failed. */
#include "harness.h"
#include "m.h"
#include "quern.h"

enum { PAINT = 0xA5, GUARD = 64 };
enum { OK, FAILED = 2, DEEP, OVERFLOWN, UNTRUE };
#ifndef M_SELFTEST_BYTES
#define M_SELFTEST_BYTES M_MEMORY_BYTES
#define m_selftest(...)  0
#endif

/* Every tensor of the model fits into TENSOR_BYTES. */
enum { ROOM = (TENSOR_BYTES + PAGE - 1) / PAGE * PAGE };
typedef struct {
  unsigned char before[PAGE], at[ROOM], behind[PAGE];
} tensor;

static _Alignas(PAGE) tensor inputs[INPUTS], outputs[OUTPUTS];
static _Alignas(64) unsigned char memory[M_SELFTEST_BYTES + GUARD];
static const void *input_list[INPUTS];
static void *output_list[OUTPUTS];

#ifdef M_WEIGHTS_MEMORY_BYTES
static _Alignas(64) unsigned char weights_memory[M_WEIGHTS_MEMORY_BYTES + GUARD];
#define MEMORIES memory, weights_memory
#else
#define MEMORIES memory
#endif

static uintptr_t stack_pointer(void) {
  uintptr_t sp;
#if defined(__x86_64__)
  __asm__ volatile("mov %%rsp, %0" : "=r"(sp));
#elif defined(__riscv)
  __asm__ volatile("mv %0, sp" : "=r"(sp));
#else
  __asm__ volatile("mov %0, sp" : "=r"(sp));
#endif
  return sp;
}

static int32_t call_init(void) { return m_init(MEMORIES); }
static int32_t call_run(void) { return m_model.run(memory, input_list, output_list); }
static int32_t call_selftest(void) { return m_selftest(MEMORIES); }

/* Calls function on a painted stack; its lowest byte that has changed says what it took. */
static __attribute__((noinline)) int32_t measure(int32_t (*function)(void), uintptr_t *most) {
  uintptr_t sp = stack_pointer(), low = sp - stack_room();
  for (uintptr_t p = sp - 1; p >= low; p--) *(volatile unsigned char *)p = PAINT;
  int32_t code = function();
  uintptr_t p = low;
  while (p < sp && *(volatile unsigned char *)p == PAINT) p++;
  if (sp - p > *most) *most = sp - p;
  return code;
}

static unsigned char *place(tensor *t, uint32_t index, uintptr_t bytes) {
  return t->at + (index % 2 == 0 ? ROOM - bytes : 0);
}

static int read_inputs(void) {
  int there = 1;
  for (uint32_t i = 0; i < m_model.input_count; i++) {
    protect(inputs[i].at, ROOM, MAY_READ | MAY_WRITE);
    there &= read_bytes((void *)input_list[i], m_model.inputs[i].bytes);
    protect(inputs[i].at, ROOM, MAY_READ);
  }
  return there;
}

static void report_number(uintptr_t n) {
  char text[16];
  unsigned at = sizeof text;
  text[--at] = '\n';
  do text[--at] = "0123456789abcdef"[n & 15];
  while (n >>= 4);
  text[--at] = 'x';
  text[--at] = '0';
  report(text + at, sizeof text - at);
}

static void paint(unsigned char *from, const unsigned char *to) {
  for (; from < to; from++) *from = PAINT;
}

static int is_paint(const unsigned char *from, const unsigned char *to) {
  for (; from < to; from++)
    if (*from != PAINT) return 0;
  return 1;
}

static int is_whole(const tensor *t, const unsigned char *at, uintptr_t bytes) {
  const unsigned char *from = PAGES ? t->at : t->before;
  return is_paint(from, at) && is_paint(at + bytes, PAGES ? t->behind : t->behind + PAGE);
}

static void place_tensors(void) {
  for (uint32_t i = 0; i < m_model.input_count; i++) {
    input_list[i] = place(&inputs[i], i, m_model.inputs[i].bytes);
    protect(inputs[i].before, PAGE, 0);
    protect(inputs[i].behind, PAGE, 0);
  }
  for (uint32_t i = 0; i < m_model.output_count; i++) {
    output_list[i] = place(&outputs[i], i, m_model.outputs[i].bytes);
    paint(outputs[i].before, outputs[i].behind + PAGE);
    protect(outputs[i].before, PAGE, 0);
    protect(outputs[i].behind, PAGE, 0);
  }
}

static int run_samples(uintptr_t *most) {
  paint(memory, memory + M_MEMORY_BYTES + GUARD);
  if (measure(call_init, most) != QUERN_OK) return FAILED;
  while (read_inputs()) {
    if (measure(call_run, most) != QUERN_OK) return FAILED;
    for (uint32_t i = 0; i < m_model.output_count; i++) {
      if (!is_whole(&outputs[i], output_list[i], m_model.outputs[i].bytes)) return OVERFLOWN;
      write_bytes(output_list[i], m_model.outputs[i].bytes);
    }
  }
  return is_paint(memory + M_MEMORY_BYTES, memory + M_MEMORY_BYTES + GUARD) ? OK : OVERFLOWN;
}

int run_all(void) {
  uintptr_t most = 0;
  place_tensors();
  int status = run_samples(&most);
  paint(memory + M_SELFTEST_BYTES, memory + M_SELFTEST_BYTES + GUARD);
  if (status == OK && measure(call_selftest, &most) != QUERN_OK) status = UNTRUE;
  if (status == OK && !is_paint(memory + M_SELFTEST_BYTES, memory + M_SELFTEST_BYTES + GUARD))
    status = OVERFLOWN;
  report_number(most);
  return status == OK && most > M_STACK_BYTES ? DEEP : status;
}
