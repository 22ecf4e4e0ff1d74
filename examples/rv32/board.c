/* QEMU's machine virt with an RV32IMC core: prints by its UART, exits by its test device, counts by
 * minstret, which with `-icount shift=0` is the number of instructions, exactly. */
#include "board.h"

#define UART        ((volatile uint8_t *)0x10000000) /* 16550: byte 0 transmits, byte 5 is the state */
#define TEST_DEVICE (*(volatile uint32_t *)0x100000) /* a write ends QEMU */
enum { UART_STATE = 5, UART_EMPTY = 0x20, EXIT_OK = 0x5555, EXIT_ERROR = 0x3333 };

void board_print(const char *text) {
  for (; *text; text++) {
    while (!(UART[UART_STATE] & UART_EMPTY)) {
    }
    UART[0] = (uint8_t)*text;
  }
}

_Noreturn void board_exit(int status) {
  TEST_DEVICE = status == 0 ? EXIT_OK : (uint32_t)status << 16 | EXIT_ERROR;
  for (;;) {
  }
}

uint32_t board_instructions(void) {
  uint32_t count;
  __asm__ volatile("csrr %0, minstret" : "=r"(count));
  return count;
}
