/* From reset to main on an RV32 core: stack, traps, data and zeros. */
  .section .start, "ax"
  .global start
start:
  la sp, stack_top
  la t0, trap
  csrw mtvec, t0
  la t0, data_start
  la t1, data_end
  la t2, data_load
copy:
  bgeu t0, t1, copied
  lw t3, 0(t2)
  sw t3, 0(t0)
  addi t0, t0, 4
  addi t2, t2, 4
  j copy
copied:
  la t0, bss_start
  la t1, bss_end
clear:
  bgeu t0, t1, cleared
  sw zero, 0(t0)
  addi t0, t0, 4
  j clear
cleared:
  call main
  tail board_exit /* main's result is its argument */

  .balign 4 /* what mtvec wants */
trap: /* an illegal instruction, a bad address: nothing of this is expected */
  li a0, 1
  tail board_exit
