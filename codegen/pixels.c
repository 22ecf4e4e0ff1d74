/* pixels.h; windows at the border are copied by the runtime's qn_find_window. */
#include "pixels.h"

static bool reaches_beyond(int32_t before, int32_t out, int32_t stride, int32_t reach, int32_t in) {
  return before > 0 || (int64_t)(out - 1) * stride - before + reach > in;
}

bool qn_needs_border(const qn_window *g) {
  return reaches_beyond(g->top, g->out_h, g->stride_h, (g->kernel_h - 1) * g->dilation_h + 1,
                        g->in_h) ||
         reaches_beyond(g->left, g->out_w, g->stride_w, (g->kernel_w - 1) * g->dilation_w + 1,
                        g->in_w);
}

int32_t qn_window_row_bytes(const qn_window *g) {
  return ((g->kernel_w - 1) * g->dilation_w + 1) * g->in_c;
}

int64_t qn_window_bytes(const qn_window *g) {
  return (int64_t)g->kernel_h * qn_window_row_bytes(g);
}

qn_border qn_border_of(const qn_window *g, int32_t x_zero) {
  return (qn_border){g->in_h, g->in_w, g->in_c, g->kernel_h, g->dilation_h, qn_window_row_bytes(g),
                     x_zero};
}

/* ------------------------------------------------------------------ positions */

static LLVMValueRef choose(qn_build *b, LLVMValueRef when, LLVMValueRef yes, LLVMValueRef no) {
  return LLVMBuildSelect(b->b, when, yes, no, "");
}

static LLVMValueRef plus(qn_build *b, LLVMValueRef x, int64_t n) {
  return LLVMBuildAdd(b->b, x, qn_i32(b, n), "");
}

static LLVMValueRef equals(qn_build *b, LLVMValueRef x, int64_t n) {
  return LLVMBuildICmp(b->b, LLVMIntEQ, x, qn_i32(b, n), "");
}

qn_position qn_first_position(qn_build *b, const qn_window *g, LLVMValueRef x) {
  return (qn_position){x, qn_i32(b, -g->top), qn_i32(b, -g->left)};
}

qn_position qn_select_position(qn_build *b, LLVMValueRef when, qn_position yes, qn_position no) {
  return (qn_position){choose(b, when, yes.image, no.image), choose(b, when, yes.row, no.row),
                       choose(b, when, yes.column, no.column)};
}

qn_position qn_next_position(const qn_pixels *p, qn_position at) {
  qn_build *b = p->b;
  const qn_window *g = p->g;
  at.column = plus(b, at.column, g->stride_w);
  if (g->out_h == 1 && g->batch == 1) return at;
  LLVMValueRef row_ends = equals(b, at.column, (int64_t)g->out_w * g->stride_w - g->left);
  at.column = choose(b, row_ends, qn_i32(b, -g->left), at.column);
  at.row = choose(b, row_ends, plus(b, at.row, g->stride_h), at.row);
  if (g->batch == 1) return at;
  LLVMValueRef image_ends = equals(b, at.row, (int64_t)g->out_h * g->stride_h - g->top);
  LLVMValueRef next = qn_at(b, at.image, (int64_t)g->in_h * g->in_w * g->in_c);
  at.row = choose(b, image_ends, qn_i32(b, -g->top), at.row);
  at.image = choose(b, image_ends, next, at.image);
  return at;
}

static LLVMValueRef address_in_image(const qn_pixels *p, qn_position at) {
  qn_build *b = p->b;
  const qn_window *g = p->g;
  LLVMValueRef row = LLVMBuildMul(b->b, at.row, qn_i32(b, (int64_t)g->in_w * g->in_c), "");
  LLVMValueRef column = LLVMBuildMul(b->b, at.column, qn_i32(b, g->in_c), "");
  return qn_at_index(b, at.image, LLVMBuildAdd(b->b, row, column, ""));
}

/* An i1: a window of so many columns or rows that begins with number `first` is in the image. */
static LLVMValueRef is_within(qn_build *b, LLVMValueRef first, int32_t reach, int32_t size) {
  int32_t starts = reach > size ? 0 : size - reach + 1;
  return LLVMBuildICmp(b->b, LLVMIntULT, first, qn_i32(b, starts), "");
}

static LLVMValueRef find_window(const qn_pixels *p, qn_position at, int copy) {
  qn_build *b = p->b;
  LLVMTypeRef types[] = {b->u->pointer, b->u->pointer, b->u->i32, b->u->i32, b->u->pointer};
  LLVMTypeRef type = LLVMFunctionType(b->u->pointer, types, 5, 0);
  LLVMValueRef to = qn_at(b, p->copies, copy * qn_window_bytes(p->g));
  LLVMValueRef arguments[] = {p->border, at.image, at.row, at.column, to};
  LLVMValueRef find = LLVMGetNamedFunction(b->u->module, "qn_find_window");
  if (!find) find = LLVMAddFunction(b->u->module, "qn_find_window", type);
  return LLVMBuildCall2(b->b, type, find, arguments, 5, "");
}

void qn_emit_window(const qn_pixels *p, qn_position at, int copy, LLVMValueRef *out_window,
                    LLVMValueRef *out_step) {
  qn_build *b = p->b;
  const qn_window *g = p->g;
  *out_window = address_in_image(p, at);
  *out_step = qn_i32(b, (int64_t)g->dilation_h * g->in_w * g->in_c);
  if (!p->padded) return;
  LLVMValueRef rows = is_within(b, at.row, (g->kernel_h - 1) * g->dilation_h + 1, g->in_h);
  LLVMValueRef columns = is_within(b, at.column, (g->kernel_w - 1) * g->dilation_w + 1, g->in_w);
  LLVMValueRef within = LLVMBuildAnd(b->b, rows, columns, "");
  *out_step = choose(b, within, *out_step, qn_i32(b, qn_window_row_bytes(g)));
  qn_unless copied = qn_begin_unless(b, within, *out_window);
  *out_window = qn_end_unless(b, &copied, find_window(p, at, copy));
}

void qn_emit_pairs_of_pixels(const qn_pixels *p, LLVMValueRef x, LLVMValueRef y,
                             void (*emit)(const void *of, qn_position first, qn_position second,
                                          LLVMValueRef y),
                             const void *of) {
  qn_build *b = p->b;
  int32_t pixels = p->g->batch * p->g->out_h * p->g->out_w;
  qn_position start = qn_first_position(b, p->g, x);
  LLVMValueRef carried[] = {start.image, start.row, start.column, y};
  qn_loop two = qn_begin_loop(b, (pixels + 1) / 2, carried, 4);
  qn_position first = {carried[0], carried[1], carried[2]};
  qn_position second = qn_next_position(p, first), next = qn_next_position(p, second);
  LLVMValueRef here = carried[3];
  emit(of, first, second, here);
  carried[3] = qn_at(b, here, 2 * (int64_t)p->g->out_c);
  if (pixels % 2 == 1) {
    LLVMValueRef starts = LLVMBuildICmp(b->b, LLVMIntEQ, two.index, qn_index(b, 0), "");
    next = qn_select_position(b, starts, second, next);
    carried[3] = choose(b, starts, qn_at(b, here, p->g->out_c), carried[3]);
  }
  carried[0] = next.image;
  carried[1] = next.row;
  carried[2] = next.column;
  qn_end_loop(b, &two);
}
