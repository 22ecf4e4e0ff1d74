/* QEMU's board mps2-an386, a Cortex-M4F: prints and exits by semihosting, counts by SysTick.
 *
 * With `-icount shift=0` QEMU's clock goes on by one nanosecond per instruction. SysTick counts
 * down, modulo 2^24, at the board's 25 MHz: one tick in 40 instructions. Counts are exact to 40,
 * and right when no more than 2^24 ticks lie between two calls. On silicon the same code counts
 * cycles. */
#include "board.h"

enum { SYS_WRITE0 = 0x04, SYS_EXIT = 0x18, EXIT_OK = 0x20026, EXIT_ERROR = 0x20023 };
enum { TICK_INSTRUCTIONS = 40, TICKS = 1 << 24 };

typedef struct {
  volatile uint32_t control, reload, value;
} systick;
#define SYSTICK ((systick *)0xe000e010)

static void call_host(uint32_t what, uint32_t argument) {
  register uint32_t r0 __asm__("r0") = what;
  register uint32_t r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

void board_print(const char *text) { call_host(SYS_WRITE0, (uint32_t)text); }

_Noreturn void board_exit(int status) {
  call_host(SYS_EXIT, status == 0 ? EXIT_OK : EXIT_ERROR);
  for (;;) {
  }
}

uint32_t board_instructions(void) {
  static uint32_t last, total; /* ticks */
  if (SYSTICK->control == 0) {
    SYSTICK->reload = TICKS - 1;
    SYSTICK->value = 0;   /* any write: start from reload */
    SYSTICK->control = 5; /* on, processor clock, no interrupt */
  }
  uint32_t now = SYSTICK->value;
  total += (last - now) % TICKS;
  last = now;
  return total * TICK_INSTRUCTIONS;
}
