/* harness.c as firmware for QEMU's ARM and RISC-V boards, with start-up code of its own: samples
 * from the host's file `input`, outputs to its file `output`, both by semihosting. board.ld places
 * it. */
#include "harness.h"

extern unsigned char stack_top[], stack_limit[];
void reset(void);

enum { SYS_OPEN = 1, SYS_CLOSE = 2, SYS_WRITE0 = 4, SYS_WRITE = 5, SYS_READ = 6, SYS_EXIT = 0x20 };
enum { OPEN_READ = 1, OPEN_WRITE = 5, EXIT_OF_PROGRAM = 0x20026 };

#if defined(__arm__)
__attribute__((section(".start"), used)) static void *const vectors[2] = {stack_top, (void *)reset};

static intptr_t call_host(uintptr_t what, const void *arguments) {
  register uintptr_t r0 __asm__("r0") = what;
  register const void *r1 __asm__("r1") = arguments;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return (intptr_t)r0;
}

static void enable_units(void) {
#if __ARM_ARCH_PROFILE == 'M' && __ARM_ARCH >= 7
  *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20; /* CPACR: FPU and MVE */
  __asm__ volatile("dsb\n isb");
#endif
}
#else
__asm__(".section .start,\"ax\"\n lla sp, stack_top\n j reset\n");

static intptr_t call_host(uintptr_t what, const void *arguments) {
  register uintptr_t a0 __asm__("a0") = what;
  register const void *a1 __asm__("a1") = arguments;
  /* the three instructions mean semihosting, not compressed and in one page */
  __asm__ volatile(".option push\n .option norvc\n .balign 16\n"
                   "slli zero, zero, 0x1f\n ebreak\n srai zero, zero, 7\n .option pop"
                   : "+r"(a0)
                   : "r"(a1)
                   : "memory");
  return (intptr_t)a0;
}

static void enable_units(void) {
  __asm__ volatile("csrs mstatus, %0" : : "r"(0x6600)); /* FS, VS: floats and vectors */
}
#endif

static intptr_t from, to;

static intptr_t open_file(const char *name, uintptr_t length, uintptr_t mode) {
  const uintptr_t arguments[3] = {(uintptr_t)name, mode, length};
  return call_host(SYS_OPEN, arguments);
}

/* Number of bytes that were not transferred. */
static intptr_t transfer(uintptr_t what, intptr_t file, const void *bytes, uintptr_t count) {
  const uintptr_t arguments[3] = {(uintptr_t)file, (uintptr_t)bytes, count};
  return call_host(what, arguments);
}

int read_bytes(void *bytes, uintptr_t count) { return transfer(SYS_READ, from, bytes, count) == 0; }
void write_bytes(const void *bytes, uintptr_t count) { transfer(SYS_WRITE, to, bytes, count); }

void report(const char *text, uintptr_t size) {
  char line[32];
  uintptr_t i = 0;
  for (; i < size && i + 1 < sizeof line; i++) line[i] = text[i];
  line[i] = 0;
  call_host(SYS_WRITE0, line);
}

/* All but what the functions that are running now have, and not too much for a simulator. */
uintptr_t stack_room(void) {
  uintptr_t room = (uintptr_t)(stack_top - stack_limit) - 512;
  return room < 1 << 15 ? room : 1 << 15;
}

void protect(void *from, uintptr_t bytes, long may) { (void)from, (void)bytes, (void)may; }

void reset(void) {
  enable_units();
  from = open_file("input", 5, OPEN_READ);
  to = open_file("output", 6, OPEN_WRITE);
  int status = from < 0 || to < 0 ? 1 : run_all();
  call_host(SYS_CLOSE, (const uintptr_t[1]){(uintptr_t)to});
  call_host(SYS_EXIT, (const uintptr_t[2]){EXIT_OF_PROGRAM, (uintptr_t)status});
  for (;;) {}
}
