/* Firmware for QEMU's Cortex-M boards: runs a compiled model on samples that it reads from the host
 * through semihosting, and writes the answers back. No C library, no start-up code but this.
 *   arm-none-eabi-gcc -mcpu=... -DMODEL=kws_model -ffreestanding -nostdlib -T bare.ld bare.c kws.o
 *   qemu-system-arm -M mps2-an386 -semihosting -kernel a.out      reads input.bin, writes output.bin */
#include "quern.h"

extern const quern_model MODEL;
extern unsigned char stack_top[];
void reset(void);

__attribute__((section(".vectors"), used)) static void *const vectors[2] = {stack_top, (void *)reset};

static unsigned char memory[1 << 20] __attribute__((aligned(64)));
static unsigned char input[1 << 16] __attribute__((aligned(16)));
static unsigned char output[1 << 16] __attribute__((aligned(16)));

enum { SYS_OPEN = 1, SYS_CLOSE = 2, SYS_WRITE = 5, SYS_READ = 6, SYS_EXIT = 0x18 };
enum { OPEN_READ = 1, OPEN_WRITE = 5, EXIT_OK = 0x20026, EXIT_ERROR = 0x20023 };

static int call_host(int what, const void *arguments) {
  register int r0 __asm__("r0") = what;
  register const void *r1 __asm__("r1") = arguments;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

static int open_file(const char *name, unsigned length, unsigned mode) {
  const unsigned arguments[3] = {(unsigned)(uintptr_t)name, mode, length};
  return call_host(SYS_OPEN, arguments);
}

/* Number of bytes that were not transferred. */
static int transfer(int what, int file, void *bytes, unsigned count) {
  const unsigned arguments[3] = {(unsigned)file, (unsigned)(uintptr_t)bytes, count};
  return call_host(what, arguments);
}

static void leave(int good) {
  call_host(SYS_EXIT, (void *)(uintptr_t)(good ? EXIT_OK : EXIT_ERROR));
  for (;;) {}
}

void reset(void) {
#ifdef __ARM_FP
  *(volatile unsigned *)0xE000ED88 |= 0xFu << 20; /* CPACR: enable the FPU */
  __asm__ volatile("dsb; isb");
#endif
  if (MODEL.memory_bytes > sizeof memory || MODEL.inputs[0].bytes > sizeof input ||
      MODEL.outputs[0].bytes > sizeof output)
    leave(0);
  int from = open_file("input.bin", 9, OPEN_READ), to = open_file("output.bin", 10, OPEN_WRITE);
  if (from < 0 || to < 0 || MODEL.init(memory) != QUERN_OK) leave(0);
  const void *in[1] = {input};
  void *out[1] = {output};
  while (transfer(SYS_READ, from, input, (unsigned)MODEL.inputs[0].bytes) == 0) {
    if (MODEL.run(memory, in, out) != QUERN_OK) leave(0);
    if (transfer(SYS_WRITE, to, output, (unsigned)MODEL.outputs[0].bytes) != 0) leave(0);
  }
  call_host(SYS_CLOSE, (const unsigned[1]){(unsigned)to});
  leave(1);
}
