/* runtime/ compiled to LLVM bitcode, in the compiler's own read-only data: from
 * qn_runtime_bitcode up to qn_runtime_bitcode_end. runtime.bc is found through -I. */
        .section .rodata
        .global qn_runtime_bitcode, qn_runtime_bitcode_end
        .balign 16
qn_runtime_bitcode:
        .incbin "runtime.bc"
qn_runtime_bitcode_end:
        .byte 0
        .section .note.GNU-stack, "", %progbits
