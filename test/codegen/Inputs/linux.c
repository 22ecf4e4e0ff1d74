/* Runs a compiled model on Linux, on any processor, without a C library: standard input holds the
 * samples, for each all inputs one after the other; standard output gets the outputs alike.
 *   clang --target=... -ffreestanding -fno-builtin -nostdlib -static -DNAME=kws
 * -DBOUND=KWS_STACK_BYTES -include kws.h linux.c kws.o Exit status 3: init or run took more stack
 * than the header says; 2: another failure. What they took goes to standard error. */
#include "quern.h"

#define JOIN2(a, b) a##b
#define JOIN(a, b)  JOIN2(a, b)
#define MODEL       JOIN(NAME, _model)
extern const quern_model MODEL;
void _start(void);

enum { TENSORS = 16, TENSOR_BYTES = 1 << 20, PAINTED = 1 << 15, PAINT = 0xA5 };

#if defined(__x86_64__)
enum { SYS_READ = 0, SYS_WRITE = 1, SYS_EXIT = 60 };
#elif defined(__arm__)
enum { SYS_READ = 3, SYS_WRITE = 4, SYS_EXIT = 1 };
#else
enum { SYS_READ = 63, SYS_WRITE = 64, SYS_EXIT = 93 };
#endif

static long call_system(long what, long a, const void *b, long c) {
#if defined(__x86_64__)
  __asm__ volatile("syscall" : "+a"(what) : "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
  return what;
#elif defined(__arm__)
  register long r0 __asm__("r0") = a;
  register const void *r1 __asm__("r1") = b;
  register long r2 __asm__("r2") = c;
  /* r7 is thumb's frame pointer */
  __asm__ volatile("push {r7}\n mov r7, %3\n svc 0\n pop {r7}"
                   : "+r"(r0)
                   : "r"(r1), "r"(r2), "r"(what)
                   : "memory");
  return r0;
#elif defined(__aarch64__)
  register long x0 __asm__("x0") = a;
  register const void *x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c, x8 __asm__("x8") = what;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x1), "r"(x2), "r"(x8) : "memory");
  return x0;
#else
  register long a0 __asm__("a0") = a;
  register const void *a1 __asm__("a1") = b;
  register long a2 __asm__("a2") = c, a7 __asm__("a7") = what;
  __asm__ volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a7) : "memory");
  return a0;
#endif
}

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

static _Alignas(64) unsigned char memory[TENSOR_BYTES];
static _Alignas(16) unsigned char inputs[TENSORS][TENSOR_BYTES / 4],
    outputs[TENSORS][TENSOR_BYTES / 4];
static const void *input_list[TENSORS];
static void *output_list[TENSORS];

/* Calls init, or run, on a painted stack; its lowest byte that has changed says what it took. */
static __attribute__((noinline)) int32_t measure(int run, uintptr_t *most) {
  uintptr_t sp = stack_pointer();
  for (uintptr_t p = sp - 1; p >= sp - PAINTED; p--) *(volatile unsigned char *)p = PAINT;
  int32_t code = run ? MODEL.run(memory, input_list, output_list) : MODEL.init(memory);
  uintptr_t p = sp - PAINTED;
  while (p < sp && *(volatile unsigned char *)p == PAINT) p++;
  if (sp - p > *most) *most = sp - p;
  return code;
}

static int read_all(unsigned char *to, long bytes) {
  for (long done = 0; done < bytes;) {
    long n = call_system(SYS_READ, 0, to + done, bytes - done);
    if (n <= 0) return 0;
    done += n;
  }
  return 1;
}

static int read_inputs(void) {
  for (uint32_t i = 0; i < MODEL.input_count; i++)
    if (!read_all(inputs[i], (long)MODEL.inputs[i].bytes)) return 0;
  return 1;
}

static void print_number(uintptr_t n) {
  char text[24];
  int at = sizeof text;
  text[--at] = '\n';
  do text[--at] = (char)('0' + n % 10);
  while (n /= 10);
  call_system(SYS_WRITE, 2, text + at, (long)sizeof text - at);
}

static int run_all(void) {
  uintptr_t most = 0;
  if (MODEL.memory_bytes > sizeof memory) return 2;
  for (int i = 0; i < TENSORS; i++) {
    input_list[i] = inputs[i];
    output_list[i] = outputs[i];
  }
  if (measure(0, &most) != QUERN_OK) return 2;
  while (read_inputs()) {
    if (measure(1, &most) != QUERN_OK) return 2;
    for (uint32_t i = 0; i < MODEL.output_count; i++)
      call_system(SYS_WRITE, 1, outputs[i], (long)MODEL.outputs[i].bytes);
  }
  print_number(most);
  return most > BOUND ? 3 : 0;
}

#if defined(__x86_64__)
__attribute__((force_align_arg_pointer))
#endif
void _start(void) {
  call_system(SYS_EXIT, run_all(), 0, 0);
}
