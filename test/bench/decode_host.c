/* A compiled model -> what its init takes on this machine: the shortest of so many calls, in
 * nanoseconds. Build with -DMODEL=NAME_model; argument: the number of calls. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "quern.h"

extern const quern_model MODEL;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

int main(int argc, char **argv) {
  void *memory = aligned_alloc(64, (MODEL.memory_bytes + 63) / 64 * 64);
  double least = 1e18;
  for (int n = argc > 1 ? atoi(argv[1]) : 1; n > 0; n--) {
    double start = now();
    if (MODEL.init(memory)) return 1;
    double took = now() - start;
    if (took < least) least = took;
  }
  printf("%.0f\n", least);
  return 0;
}
