/* Keeping AMX's tile unit awake: it powers down when it has had nothing to do for about 0.4 us, and
 * the next product of tiles then waits 1350 cycles and more for it. So layers that vectors compute
 * between two that tiles compute multiply, every few hundred cycles, tiles of one element that
 * nobody reads, which takes a cycle. */
#include "conv_x86.h"
#include "variants.h"

enum { TILES = 3 };

static bool uses_tiles(const qn_job *job) { return job && job->emitter->needs == QN_NEEDS_amx; }

bool qn_uses_tiles(const qn_unit *u) {
  int i = 0;
  for (const qn_op *op = u->f->first; op; op = op->next, i++)
    if (uses_tiles(u->jobs[i])) return true;
  return false;
}

int32_t qn_keep_awake(qn_unit *u) {
  int32_t count = 0, last = 0, kept = 0;
  for (const qn_op *op = u->f->first; op; op = op->next, count++)
    if (uses_tiles(u->jobs[count])) last = count;
  bool before = false;
  for (int32_t i = 0; i < last; i++) {
    qn_job *job = u->jobs[i];
    before |= uses_tiles(job);
    if (!before || !job || !job->awake) continue;
    *job->awake = 1;
    kept++;
  }
  return kept;
}

/* Palette 1; of each tile 4 bytes per row (byte 16 on) and one row (byte 48 on). */
void qn_begin_awake(qn_build *b) {
  static const unsigned char sizes[64] = {
      [0] = 1, [16] = 4, [18] = 4, [20] = 4, [48] = 1, [49] = 1, [50] = 1};
  if (b->awake) qn_begin_amx(b, qn_add_bytes(b->u, "tiles_of_one", sizes, sizeof sizes));
}

void qn_stay_awake(qn_build *b) {
  if (!b->awake) return;
  LLVMValueRef tiles[TILES];
  for (int i = 0; i < TILES; i++) tiles[i] = LLVMConstInt(b->u->i8, (unsigned)i, 0);
  qn_call_intrinsic(b, "llvm.x86.tdpbusd", NULL, NULL, 0, tiles, TILES);
}

void qn_end_awake(qn_build *b) {
  if (b->awake) qn_end_amx(b);
}
