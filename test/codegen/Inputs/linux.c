/* harness.c as a Linux program without any library, so that any emulator runs it and the stack
 * holds nothing else: samples from standard input, outputs to standard output. */
#include "harness.h"

void _start(void);
void emulate_amx(void); /* amx.c */

#if defined(__x86_64__)
enum { SYS_READ = 0, SYS_WRITE = 1, SYS_EXIT = 60, SYS_MPROTECT = 10 };
#elif defined(__arm__)
enum { SYS_READ = 3, SYS_WRITE = 4, SYS_EXIT = 1, SYS_MPROTECT = 125 };
#else
enum { SYS_READ = 63, SYS_WRITE = 64, SYS_EXIT = 93, SYS_MPROTECT = 226 };
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

int read_bytes(void *to, uintptr_t bytes) {
  for (uintptr_t done = 0; done < bytes;) {
    long n = call_system(SYS_READ, 0, (char *)to + done, (long)(bytes - done));
    if (n <= 0) return 0;
    done += (uintptr_t)n;
  }
  return 1;
}

void write_bytes(const void *from, uintptr_t bytes) {
  call_system(SYS_WRITE, 1, from, (long)bytes);
}
void report(const char *text, uintptr_t size) { call_system(SYS_WRITE, 2, text, (long)size); }
uintptr_t stack_room(void) { return 1 << 15; }

void protect(void *from, uintptr_t bytes, long may) {
  call_system(SYS_MPROTECT, (long)from, (void *)bytes, may);
}

#if defined(__x86_64__)
__attribute__((force_align_arg_pointer))
#endif
void _start(void) {
#ifdef EMULATED
  emulate_amx();
#endif
  call_system(SYS_EXIT, run_all(), 0, 0);
}
