/* The first images of the test set and what they show, out of NumPy files: 128 bytes of header, then
 * bytes. */
  .section .rodata
  .global images, labels
images:
  .incbin "test_images.npy", 128, 10 * 28 * 28
labels:
  .incbin "test_labels.npy", 128, 10
