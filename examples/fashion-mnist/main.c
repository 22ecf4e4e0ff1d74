/* Classifies Fashion-MNIST images with the compiled model: plain C, no library beside libc's stdio.
 *
 *   quern compile fashion.yaml -o fashion.o
 *   cc main.c fashion.o -o classify && ./classify test_images.npy test_labels.npy */
#include <stdio.h>
#include "fashion.h"

enum { SIDE = 28, PIXELS = SIDE * SIDE, SHOWN = 8 };

static const char *const kinds[10] = {"T-shirt", "trousers", "pullover", "dress", "coat",
                                      "sandal",  "shirt",    "sneaker",  "bag",   "ankle boot"};

_Alignas(FASHION_MEMORY_ALIGN) static unsigned char memory[FASHION_MEMORY_BYTES];

/* A NumPy file of bytes, positioned behind its header; NULL if there is none. */
static FILE *open_npy(const char *path) {
  unsigned char head[10];
  FILE *f = fopen(path, "rb");
  if (!f) return NULL;
  if (fread(head, 1, sizeof head, f) == sizeof head && head[0] == 0x93 &&
      fseek(f, 10 + head[8] + 256 * head[9], SEEK_SET) == 0)
    return f;
  fclose(f);
  return NULL;
}

static int best_of(const float *probability) {
  int best = 0;
  for (int i = 1; i < 10; i++)
    if (probability[i] > probability[best]) best = i;
  return best;
}

int main(int argc, char **argv) {
  FILE *images = open_npy(argc > 1 ? argv[1] : "test_images.npy");
  FILE *labels = open_npy(argc > 2 ? argv[2] : "test_labels.npy");
  if (!images || !labels) {
    fprintf(stderr, "usage: %s IMAGES.npy LABELS.npy\n", argv[0]);
    return 1;
  }
  if (fashion_init(memory) != 0) return 1;

  int count = 0, right = 0, label;
  unsigned char pixels[PIXELS];
  while (fread(pixels, 1, PIXELS, images) == PIXELS && (label = fgetc(labels)) != EOF) {
    float image[PIXELS], probability[10];
    for (int i = 0; i < PIXELS; i++) image[i] = pixels[i];
    if (fashion_run(memory, image, probability) != 0) return 1;
    int best = best_of(probability);
    if (count < SHOWN)
      printf("image %d: %-10s %5.1f %%  %s\n", count, kinds[best], 100.0 * probability[best],
             best == label ? "right" : kinds[label]);
    right += best == label;
    count++;
  }
  printf("%d of %d images right\n", right, count);
  fclose(images);
  fclose(labels);
  return count == 0;
}
