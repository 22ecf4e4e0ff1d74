/* The final functions and their frames -> a bound of the stack that init and run take.
 *
 *   bound(f) = frame(f) + slack + link + max over the functions g that f calls of bound(g)
 *
 * frame is what the back end reports through the attribute "warn-stack-size" (saved registers and
 * locals), slack what aligning and rounding a frame can add to that, link the return address where
 * the call pushes it. Functions that no code here calls are helpers that the back end calls
 * (memcpy); where it does so is not visible in the IR, so all of them are added once, as if each
 * called the next. Sound because nothing recurses and nothing is called through a pointer, which is
 * checked; on RISC-V with vectors, up to registers of 512 bits. */
#include <stdlib.h>
#include <string.h>
#include "unit.h"

typedef struct {
  LLVMValueRef function;
  enum { NEW, OPEN, DONE } state;
  int64_t bound;
} node;

typedef struct {
  qn_unit *u;
  int count, slack, link;
  node *at;
} graph;

static node *find_node(graph *g, LLVMValueRef function) {
  for (int i = 0; i < g->count; i++) {
    if (g->at[i].function == function) return &g->at[i];
  }
  return NULL;
}

static const char *name_of(LLVMValueRef function) {
  size_t size;
  return LLVMGetValueName2(function, &size);
}

static int64_t find_frame(const qn_frame *frames, const char *name) {
  for (const qn_frame *f = frames; f; f = f->next) {
    if (strcmp(f->function, name) == 0) return f->bytes;
  }
  return 0;
}

static int64_t frame_of(const graph *g, LLVMValueRef function) {
  return find_frame(g->u->frames, name_of(function)) +
         find_frame(g->u->assembly_frames, name_of(function));
}

static qn_status bound_function(graph *g, node *n);

/* Raises *deepest to the bound of what one instruction calls. */
static qn_status bound_call(graph *g, const node *caller, LLVMValueRef instruction,
                            int64_t *deepest) {
  if (!LLVMIsACallInst(instruction)) return QN_OK;
  LLVMValueRef called = LLVMGetCalledValue(instruction);
  if (LLVMIsAInlineAsm(called) || LLVMIsAConstantExpr(called)) return QN_OK; /* latter: ticks */
  if (!LLVMIsAFunction(called))
    return qn_bug("'%s' calls through a pointer", name_of(caller->function));
  if (LLVMIsDeclaration(called)) return QN_OK; /* an intrinsic, or an undefined symbol */
  node *callee = find_node(g, called);
  QN_TRY(bound_function(g, callee));
  if (callee->bound > *deepest) *deepest = callee->bound;
  return QN_OK;
}

static qn_status bound_function(graph *g, node *n) {
  if (n->state == DONE) return QN_OK;
  if (n->state == OPEN) return qn_bug("'%s' calls itself", name_of(n->function));
  n->state = OPEN;
  int64_t deepest = 0;
  for (LLVMBasicBlockRef b = LLVMGetFirstBasicBlock(n->function); b; b = LLVMGetNextBasicBlock(b)) {
    for (LLVMValueRef i = LLVMGetFirstInstruction(b); i; i = LLVMGetNextInstruction(i))
      QN_TRY(bound_call(g, n, i, &deepest));
  }
  int64_t frame = frame_of(g, n->function);
  n->bound = (frame ? frame + g->slack : 0) + g->link + deepest;
  n->state = DONE;
  return QN_OK;
}

/* x86 aligns and rounds frames that hold vectors to up to 64 bytes, the others to 16. */
static void set_costs(qn_unit *u, graph *g) {
  char *triple = LLVMGetTargetMachineTriple(u->machine);
  bool x86 = strncmp(triple, "x86", 3) == 0;
  LLVMDisposeMessage(triple);
  g->slack = x86 ? 2 * 64 : 2 * 16;
  g->link = x86 ? 8 : 0;
}

/* ------------------------------------------------------------------ vectors of unknown size */

enum { VECTOR_BYTES = 512 / 8 }; /* RISC-V vector registers that the bound allows for */

/* RISC-V's V extension leaves the size of a register, vlenb, to the processor. */
static bool has_sized_vectors(qn_unit *u) {
  char *triple = LLVMGetTargetMachineTriple(u->machine);
  char *features = LLVMGetTargetMachineFeatureString(u->machine);
  const char *v = strstr(features, "+v");
  while (v && v[2] && v[2] != ',') v = strstr(v + 1, "+v");
  bool found = strncmp(triple, "riscv", 5) == 0 && v;
  LLVMDisposeMessage(features);
  LLVMDisposeMessage(triple);
  return found;
}

static void add_to_frame(qn_unit *u, const char *name, size_t size, int64_t bytes) {
  qn_frame *f = u->frames;
  while (f && (strlen(f->function) != size || memcmp(f->function, name, size) != 0)) f = f->next;
  if (!f) {
    f = qn_alloc(&u->m->arena, sizeof *f);
    *f = (qn_frame){qn_strndup(&u->m->arena, name, size), 0, u->frames};
    u->frames = f;
  }
  f->bytes += bytes;
}

/* Unwind tables say where a frame begins: "# sp + 176 + 26 * vlenb", with comments on. */
static void read_vector_frames(qn_unit *u, const char *text) {
  static const char kind[] = ",@function", unit[] = " * vlenb";
  const char *name = NULL, *line_end;
  size_t size = 0;
  for (const char *line = text; *line; line = *line_end ? line_end + 1 : line_end) {
    line_end = line + strcspn(line, "\n");
    if (strncmp(line, "\t.type\t", 7) == 0) {
      const char *comma = strstr(line, kind);
      if (!comma || comma > line_end) continue;
      name = line + 7;
      size = (size_t)(comma - name);
    }
    if (!name || strncmp(line, "\t.cfi_escape", 12) != 0) continue;
    const char *times = strstr(line, unit);
    if (!times || times > line_end) continue;
    while (times[-1] != ' ') times--;
    add_to_frame(u, name, size, strtoll(times, NULL, 10) * VECTOR_BYTES);
    name = NULL;
  }
}

/* The frames' parts that are multiples of vlenb, which the back end's report leaves out. */
static qn_status add_vector_frames(qn_unit *u) {
  qn_frame *frames = u->frames;
  LLVMModuleRef copy = LLVMCloneModule(u->module);
  unsigned kind = LLVMGetEnumAttributeKindForName("uwtable", 7);
  for (LLVMValueRef f = LLVMGetFirstFunction(copy); f; f = LLVMGetNextFunction(f)) {
    if (!LLVMIsDeclaration(f))
      LLVMAddAttributeAtIndex(f, LLVMAttributeFunctionIndex,
                              LLVMCreateEnumAttribute(u->context, kind, 2));
  }
  LLVMMemoryBufferRef buffer = NULL;
  char *why = NULL;
  LLVMSetTargetMachineAsmVerbosity(u->machine, 1);
  LLVMBool failed =
      LLVMTargetMachineEmitToMemoryBuffer(u->machine, copy, LLVMAssemblyFile, &why, &buffer);
  LLVMSetTargetMachineAsmVerbosity(u->machine, 0);
  qn_status status = failed ? qn_bug("frames: %s", why) : QN_OK;
  u->frames = frames;
  if (!failed) read_vector_frames(u, LLVMGetBufferStart(buffer));
  if (buffer) LLVMDisposeMemoryBuffer(buffer);
  LLVMDisposeMessage(why);
  LLVMDisposeModule(copy);
  return status;
}

/* ------------------------------------------------------------------ the bound */

static bool is_root(LLVMValueRef function) {
  return LLVMGetLinkage(function) == LLVMExternalLinkage;
}

qn_status qn_bound_stack(qn_unit *u, int64_t *out_bytes) {
  graph g = {.u = u};
  set_costs(u, &g);
  if (has_sized_vectors(u)) QN_TRY(add_vector_frames(u));
  for (LLVMValueRef f = LLVMGetFirstFunction(u->module); f; f = LLVMGetNextFunction(f)) g.count++;
  g.at = qn_alloc(&u->m->arena, (size_t)g.count * sizeof *g.at);
  int i = 0;
  for (LLVMValueRef f = LLVMGetFirstFunction(u->module); f; f = LLVMGetNextFunction(f))
    g.at[i++].function = f;

  int64_t deepest = 0, helpers = 0;
  LLVMValueRef adapter = LLVMGetNamedFunction(u->module, "run");
  for (i = 0; i < g.count; i++) {
    if (!is_root(g.at[i].function) && g.at[i].function != adapter) continue;
    QN_TRY(bound_function(&g, &g.at[i]));
    if (g.at[i].bound > deepest) deepest = g.at[i].bound;
  }
  for (i = 0; i < g.count; i++) {
    if (g.at[i].state != NEW || LLVMIsDeclaration(g.at[i].function)) continue;
    QN_TRY(bound_function(&g, &g.at[i]));
    helpers += g.at[i].bound;
  }
  *out_bytes = deepest + helpers;
  return QN_OK;
}
