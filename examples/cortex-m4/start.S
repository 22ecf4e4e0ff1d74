/* From reset to main on a Cortex-M4: vectors, FPU, data and zeros. */
  .syntax unified
  .cpu cortex-m4
  .thumb

  .section .vectors, "a"
  .word stack_top
  .word reset
  .rept 14 /* NMI, faults, SVCall, PendSV, SysTick: nothing of this is expected */
  .word fault
  .endr

  .text
  .global reset
  .thumb_func
reset:
  ldr r0, =0xe000ed88 /* CPACR: full access to the FPU, coprocessors 10 and 11 */
  ldr r1, [r0]
  orr r1, r1, #0xf << 20
  str r1, [r0]
  dsb
  isb
  ldr r0, =data_start
  ldr r1, =data_end
  ldr r2, =data_load
copy:
  cmp r0, r1
  ittt lo
  ldrlo r3, [r2], #4
  strlo r3, [r0], #4
  blo copy
  ldr r0, =bss_start
  ldr r1, =bss_end
  movs r2, #0
clear:
  cmp r0, r1
  itt lo
  strlo r2, [r0], #4
  blo clear
  bl main
  b board_exit /* main's result is its argument */

  .thumb_func
fault:
  movs r0, #1
  b board_exit
