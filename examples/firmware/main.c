/* Firmware that classifies Fashion-MNIST images with the compiled network: no library, no float,
 * all memory known before it runs. The board around it is ../cortex-m4 or ../rv32. */
#include "board.h"
#include "fashion.h"

enum { IMAGES = 10, PIXELS = 28 * 28, KINDS = 10 };
extern const uint8_t images[IMAGES][PIXELS], labels[IMAGES]; /* images.S */

static const char *const kinds[KINDS] = {"T-shirt", "trousers", "pullover", "dress", "coat",
                                         "sandal",  "shirt",    "sneaker",  "bag",   "ankle boot"};

_Alignas(FASHION_MEMORY_ALIGN) static uint8_t memory[FASHION_MEMORY_BYTES];

/* Scales as 16.16 fixed point: the compiler computes them, the firmware has no float. */
static const int32_t stored_per_pixel = (int32_t)(65536 / FASHION_INPUT0_SCALE + 0.5f);
static const int32_t percent_per_stored = (int32_t)(65536 * 100 * FASHION_OUTPUT0_SCALE + 0.5f);

static int8_t store_pixel(uint8_t pixel) {
  int32_t stored = ((pixel * stored_per_pixel + 32768) >> 16) + FASHION_INPUT0_ZERO;
  return (int8_t)(stored > 127 ? 127 : stored);
}

static int percent(int8_t stored) {
  return ((stored - FASHION_OUTPUT0_ZERO) * percent_per_stored + 32768) >> 16;
}

static void print_number(uint32_t number, uint32_t base, int width) {
  char text[12];
  int at = sizeof text - 1;
  text[at] = 0;
  for (; number || at == sizeof text - 1; number /= base)
    text[--at] = "0123456789abcdef"[number % base];
  while (at > 0 && (int)sizeof text - 1 - at < width) text[--at] = base == 16 ? '0' : ' ';
  board_print(text + at);
}

static void print_line(const char *before, uint32_t number, const char *after) {
  board_print(before);
  print_number(number, 10, 0);
  board_print(after);
}

static int best_of(const int8_t *answer) {
  int best = 0;
  for (int i = 1; i < KINDS; i++)
    if (answer[i] > answer[best]) best = i;
  return best;
}

static void print_answer(int best, const int8_t *answer, int label) {
  print_number((uint32_t)percent(answer[best]), 10, 3);
  board_print(" %  ");
  board_print(kinds[best]);
  if (best != label) {
    board_print(", wrong: ");
    board_print(kinds[label]);
  }
  board_print("\n");
}

int main(void) {
  if (fashion_init(memory) != 0) return 1;
  int right = 0;
  uint32_t sum = 2166136261u, instructions = 0; /* sum: FNV-1a of all answers */
  for (int n = 0; n < IMAGES; n++) {
    int8_t image[PIXELS], answer[KINDS];
    for (int i = 0; i < PIXELS; i++) image[i] = store_pixel(images[n][i]);
    uint32_t start = board_instructions();
    if (fashion_run(memory, image, answer) != 0) return 1;
    instructions = board_instructions() - start;
    int best = best_of(answer);
    right += best == labels[n];
    print_answer(best, answer, labels[n]);
    for (int i = 0; i < KINDS; i++) sum = (sum ^ (uint8_t)answer[i]) * 16777619u;
  }
  print_line("", (uint32_t)right, " of ");
  print_line("", IMAGES, " images right\n");
  print_line("instructions per image: ", instructions, "");
  print_line(", ", instructions * 10u / FASHION_MACS / 10, "");
  print_line(".", instructions * 10u / FASHION_MACS % 10, " per multiply-accumulate\n");
  print_line("memory: ", FASHION_MEMORY_BYTES, " bytes, ");
  print_line("stack: at most ", FASHION_STACK_BYTES, " bytes\nanswers: ");
  print_number(sum, 16, 8);
  board_print("\n");
  return 0;
}
