/* What the firmware wants of a board. */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

void board_print(const char *text);
/* Instructions since start-up, modulo 2^32; board.c says how they are counted, and how exactly. */
uint32_t board_instructions(void);
/* Ends the program; status 0 is success. */
_Noreturn void board_exit(int status);

/* Start-up code calls it when memory is ready. */
int main(void);

#endif
