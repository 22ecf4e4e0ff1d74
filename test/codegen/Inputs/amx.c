/* AMX's tile registers on a processor that has none: their instructions fault, and the handler does
 * what Intel's manual (volume 2) says of them, with the configuration checked as there. Linux,
 * x86-64, without any library. Compiled with -mgeneral-regs-only: the kernel saves what the program
 * had. */
#include <stdint.h>

enum { SIGILL = 4, SYS_SIGACTION = 13, SYS_EXIT = 60, SYS_SIGALTSTACK = 131 };
enum { ON_STACK = 0x08000000, RESTORER = 0x04000000 };
enum { TILES = 8, ROWS = 16, ROW = 64 };

typedef struct {
  uint64_t handler, flags, restorer, mask;
} action;

typedef struct {
  uint64_t at, flags, bytes;
} alternate_stack;

/* The start of Linux's ucontext. */
typedef struct {
  uint64_t flags, link, stack[3];
  uint64_t r8_to_r15[8], di, si, bp, bx, dx, ax, cx, sp, ip;
} context;

static uint8_t tile[TILES][ROWS][ROW], rows[TILES], columns[TILES], configured;
static _Alignas(16) char stack[1 << 14];

static long call_system(long what, long a, const void *b, long c, long d) {
  register long r10 __asm__("r10") = d;
  __asm__ volatile("syscall"
                   : "+a"(what)
                   : "D"(a), "S"(b), "d"(c), "r"(r10)
                   : "rcx", "r11", "memory");
  return what;
}

/* Nothing else may fault. */
static void refuse(void) { call_system(SYS_EXIT, 99, 0, 0, 0); }
static void check(int good) {
  if (!good) refuse();
}

static uint64_t general(const context *c, int number) {
  const uint64_t low[8] = {c->ax, c->cx, c->dx, c->bx, c->sp, c->bp, c->si, c->di};
  return number < 8 ? low[number] : c->r8_to_r15[number - 8];
}

/* An operand in memory: base + displacement, and the index apart. `size`: bytes behind the opcode.
 */
static uint64_t address(const context *c, const uint8_t *code, uint64_t *index, int *size) {
  int mode = code[4] >> 6, base = code[4] & 7, at = 5;
  *index = 0;
  if (base == 4) {
    int sib = code[at++], number = sib >> 3 & 7;
    if (!(code[1] & 0x40)) number += 8;
    base = sib & 7;
    if (number != 4) *index = general(c, number) << (sib >> 6);
  }
  if (mode == 0 && base == 5) { /* from the next instruction on */
    check(at == 5);
    *size = at + 4;
    return c->ip + (uint64_t)*size + (uint64_t) * (const int32_t *)(code + at);
  }
  uint64_t sum = general(c, base + (code[1] & 0x20 ? 0 : 8));
  if (mode == 1) sum += (uint64_t)(int8_t)code[at++];
  if (mode == 2) {
    sum += (uint64_t)*(const int32_t *)(code + at);
    at += 4;
  }
  *size = at;
  return sum;
}

static void configure(const uint8_t *from) {
  check(from[0] == 1 && from[1] == 0);
  for (int i = 2; i < 16; i++) check(from[i] == 0);
  for (int i = 0; i < TILES; i++) {
    columns[i] = from[16 + 2 * i];
    rows[i] = from[48 + i];
    check(columns[i] <= ROW && rows[i] <= ROWS && from[17 + 2 * i] == 0);
  }
  for (int i = 0; i < TILES * ROWS * ROW; i++) ((uint8_t *)tile)[i] = 0;
  configured = 1;
}

static void dot(int sums, int x, int w) {
  check(rows[sums] == rows[x] && columns[sums] == columns[w] && columns[x] == 4 * rows[w]);
  for (int m = 0; m < rows[sums]; m++)
    for (int n = 0; n < columns[sums] / 4; n++) {
      uint32_t *sum = (uint32_t *)&tile[sums][m][4 * n];
      for (int k = 0; k < columns[x]; k++)
        *sum += (uint32_t)(tile[x][m][k] * (int8_t)tile[w][k / 4][4 * n + k % 4]);
    }
}

static void move(int number, uint64_t at, uint64_t step, int store) {
  check(configured && rows[number]);
  for (int m = 0; m < rows[number]; m++, at += step)
    for (int i = 0; i < columns[number]; i++) {
      uint8_t *byte = (uint8_t *)at + i;
      if (store)
        *byte = tile[number][m][i];
      else
        tile[number][m][i] = *byte;
    }
}

/* VEX.128 with three bytes, map 0F38: prefix 0 none, 1 66, 2 F3, 3 F2. */
static void on_fault(int signal, void *info, context *c) {
  (void)signal, (void)info;
  const uint8_t *code = (const uint8_t *)c->ip;
  int prefix = code[2] & 3, first = code[4] >> 3 & 7, second = code[4] & 7, size = 5;
  int in_register = code[4] >> 6 == 3;
  uint64_t index = 0, at = 0;
  check(code[0] == 0xc4 && (code[1] & 0x1f) == 2 && !(code[2] & 0x84));
  if (!in_register) at = address(c, code, &index, &size);
  if (code[3] == 0x49 && in_register && prefix == 0)
    configured = 0;
  else if (code[3] == 0x49 && in_register && prefix == 3)
    for (int i = 0; i < ROWS * ROW; i++) ((uint8_t *)tile[first])[i] = 0;
  else if (code[3] == 0x49 && prefix == 0)
    configure((const uint8_t *)at);
  else if (code[3] == 0x4b && !in_register && (prefix == 3 || prefix == 2))
    move(first, at, index, prefix == 2);
  else if (code[3] == 0x5e && in_register && prefix == 1 && configured)
    dot(first, second, ~code[2] >> 3 & 7);
  else
    refuse();
  c->ip += (uint64_t)size;
}

__attribute__((naked)) static void restore(void) { __asm__ volatile("mov $15, %eax\n syscall"); }

void emulate_amx(void) {
  const alternate_stack other = {(uint64_t)stack, 0, sizeof stack};
  const action a = {(uint64_t)on_fault, ON_STACK | RESTORER | 4, (uint64_t)restore, 0};
  call_system(SYS_SIGALTSTACK, (long)&other, 0, 0, 0);
  call_system(SYS_SIGACTION, SIGILL, &a, 0, 8);
}
