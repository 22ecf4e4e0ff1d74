/* Attributes by their rows: what a file says (numbers or a word, qn_attr_text) <-> the field of
 * qn_attrs. Setting and getting are the only two places that know how each kind is stored, so the
 * text parser, the YAML reader and both printers treat all attributes alike. */
#include "ir.h"

#include <math.h>
#include <string.h>

/* The words are made from the same rows as the enums; `explicit` is written as four numbers. */
static const char *const activations[] = {
#define QN_ACTIVATION(name, doc) #name,
#include "words.def"
    NULL};
static const char *const paddings[] = {
#define QN_PADDING(name, doc) #name,
#include "words.def"
    NULL};
static const char *const contracts[] = {
#define QN_CONTRACT(name, doc) #name,
#include "../runtime/contracts.def"
    NULL};
static const char *const flags[] = {"false", "true", NULL};

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))
_Static_assert(COUNT(activations) == QN_ACTIVATION_COUNT + 1, "a word per activation");
_Static_assert(COUNT(paddings) == QN_PADDING_COUNT + 1, "a word per padding mode");
_Static_assert(COUNT(contracts) == QN_CONTRACT_COUNT + 1, "a word per contract");
_Static_assert(QN_PADDING_explicit == QN_PADDING_COUNT - 1, "the one without a word is the last");

const char *qn_attr_words(qn_attr_kind kind, int index) {
  switch (kind) {
  case QN_ATTR_activation: return index < QN_ACTIVATION_COUNT ? activations[index] : NULL;
  case QN_ATTR_padding: return index < QN_PADDING_explicit ? paddings[index] : NULL;
  case QN_ATTR_contract: return index < QN_CONTRACT_COUNT ? contracts[index] : NULL;
  case QN_ATTR_flag: return flags[index < 2 ? index : 2];
  default: return NULL;
  }
}

const qn_attr *qn_find_attr(qn_opcode code, const char *name, size_t size) {
  for (const qn_attr *attr = qn_ops[code].attrs; attr->name; ++attr) {
    if (strlen(attr->name) == size && memcmp(attr->name, name, size) == 0) return attr;
  }
  return NULL;
}

const char *qn_nearest_attr(qn_opcode code, const char *name) {
  const char *names[32] = {NULL};
  int count = 0;
  for (const qn_attr *attr = qn_ops[code].attrs; attr->name && count < 31; ++attr) {
    names[count++] = attr->name;
  }
  return qn_nearest(name, names);
}

void qn_default_attrs(qn_opcode code, qn_attrs *out) {
  memset(out, 0, sizeof *out);
  for (const qn_attr *attr = qn_ops[code].attrs; attr->name; ++attr) {
    void *field = (char *)out + attr->offset;
    for (int i = 0; i < attr->count; ++i) {
      switch (attr->kind) {
      case QN_ATTR_int:
      case QN_ATTR_ints: ((int32_t *)field)[i] = (int32_t)attr->def[i]; break;
      case QN_ATTR_real:
      case QN_ATTR_reals: ((float *)field)[i] = (float)attr->def[i]; break;
      case QN_ATTR_flag: *(bool *)field = attr->def[i] != 0; break;
      case QN_ATTR_list: break; /* empty */
      case QN_ATTR_padding: ((qn_padding *)field)->mode = (qn_padding_mode)attr->def[i]; break;
      case QN_ATTR_activation: *(qn_activation *)field = (qn_activation)attr->def[i]; break;
      case QN_ATTR_contract: *(qn_contract *)field = (qn_contract)attr->def[i]; break;
      }
    }
  }
}

/* -- from text */

/* What is wrong with a value that had to be one of the kind's words. */
static const char *explain_words(qn_arena *a, qn_attr_kind kind, const qn_attr_text *text) {
  const char *words[16] = {NULL}, *list = "";
  for (int i = 0; i < 15 && (words[i] = qn_attr_words(kind, i)) != NULL; ++i) {
    const char *comma = i == 0 ? "" : qn_attr_words(kind, i + 1) ? ", " : " or ";
    list = qn_format(a, "%s%s%s", list, comma, words[i]);
  }
  const char *numbers = kind == QN_ATTR_padding ? " or [top, bottom, left, right]" : "";
  if (text->count >= 0) return qn_format(a, "must be %s%s", list, numbers);
  const char *nearest = qn_nearest(text->word, words);
  return qn_format(a, "must be %s%s, got '%s'%s%s%s", list, numbers, text->word,
                   nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

/* The index of the word in out; a flag may also be 0 or 1. */
static const char *read_word(qn_arena *a, qn_attr_kind kind, const qn_attr_text *text, int *out) {
  if (kind == QN_ATTR_flag && text->count == 1 && !text->is_list &&
      (text->num[0] == 0 || text->num[0] == 1)) {
    *out = (int)text->num[0];
    return NULL;
  }
  const char *word;
  for (int i = 0; text->count < 0 && (word = qn_attr_words(kind, i)) != NULL; ++i) {
    if (strcmp(word, text->word) != 0) continue;
    *out = i;
    return NULL;
  }
  return explain_words(a, kind, text);
}

/* Integers low..high of them; in brackets unless it is one. */
static const char *read_ints(qn_arena *a, const qn_attr_text *text, int low, int high, bool one,
                             int32_t *out) {
  if (one && (text->count != 1 || text->is_list)) return "must be an integer";
  if (!one && (!text->is_list || text->count < low || text->count > high)) {
    const char *got = text->is_list ? qn_format(a, ", got %d", text->count) : "";
    if (low == high) return qn_format(a, "must be %d integers in brackets%s", low, got);
    return qn_format(a, "must be at most %d integers in brackets%s", high, got);
  }
  for (int i = 0; i < text->count; ++i) {
    double x = text->num[i];
    if (!(x == floor(x)) || isinf(x)) return qn_format(a, "must be whole, got %.9g", x);
    if (x < INT32_MIN || x > INT32_MAX) return qn_format(a, "must fit 32 bits, got %.17g", x);
    out[i] = (int32_t)x;
  }
  return NULL;
}

static const char *read_reals(qn_arena *a, const qn_attr_text *text, int count, float *out) {
  bool one = count == 1;
  if (one && (text->count != 1 || text->is_list)) return "must be a number";
  if (!one && (!text->is_list || text->count != count)) {
    return qn_format(a, "must be %d numbers in brackets", count);
  }
  for (int i = 0; i < count; ++i) {
    float x = (float)text->num[i];
    if (isinf(x) && !isinf(text->num[i])) {
      return qn_format(a, "must fit 32-bit floats, got %.9g", text->num[i]);
    }
    out[i] = x;
  }
  return NULL;
}

static const char *read_padding(qn_arena *a, const qn_attr_text *text, qn_padding *out) {
  qn_padding p = {.mode = QN_PADDING_explicit};
  if (text->count >= 0 && text->is_list) {
    int32_t side[4];
    const char *wrong = read_ints(a, text, 4, 4, false, side);
    if (wrong) return wrong;
    p.top = side[0], p.bottom = side[1], p.left = side[2], p.right = side[3];
  } else {
    int mode;
    const char *wrong = read_word(a, QN_ATTR_padding, text, &mode);
    if (wrong) return wrong;
    p.mode = (qn_padding_mode)mode;
  }
  *out = p;
  return NULL;
}

const char *qn_set_attr(qn_arena *a, qn_attrs *attrs, const qn_attr *attr,
                        const qn_attr_text *text) {
  void *field = (char *)attrs + attr->offset;
  const char *wrong = NULL;
  int word = 0;
  switch (attr->kind) {
  case QN_ATTR_int:
  case QN_ATTR_ints: return read_ints(a, text, attr->count, attr->count, attr->count == 1, field);
  case QN_ATTR_real:
  case QN_ATTR_reals: return read_reals(a, text, attr->count, field);
  case QN_ATTR_list: {
    qn_list list = {0};
    wrong = read_ints(a, text, 0, QN_MAX_RANK, false, list.at);
    list.count = text->count;
    if (!wrong) *(qn_list *)field = list;
    return wrong;
  }
  case QN_ATTR_padding: return read_padding(a, text, field);
  case QN_ATTR_flag:
  case QN_ATTR_activation:
  case QN_ATTR_contract: break;
  }
  wrong = read_word(a, attr->kind, text, &word);
  if (wrong) return wrong;
  if (attr->kind == QN_ATTR_flag) *(bool *)field = word != 0;
  if (attr->kind == QN_ATTR_activation) *(qn_activation *)field = (qn_activation)word;
  if (attr->kind == QN_ATTR_contract) *(qn_contract *)field = (qn_contract)word;
  return NULL;
}

/* -- to text */

static void get_ints(const int32_t *from, int count, bool is_list, qn_attr_text *out) {
  out->is_list = is_list;
  out->count = count;
  for (int i = 0; i < count; ++i) out->num[i] = from[i];
}

static void get_word(qn_attr_kind kind, int index, qn_attr_text *out) {
  out->count = -1;
  out->word = qn_attr_words(kind, index);
}

void qn_get_attr(const qn_attrs *attrs, const qn_attr *attr, qn_attr_text *out) {
  const void *field = (const char *)attrs + attr->offset;
  *out = (qn_attr_text){0};
  switch (attr->kind) {
  case QN_ATTR_int:
  case QN_ATTR_ints: get_ints(field, attr->count, attr->count > 1, out); break;
  case QN_ATTR_real:
  case QN_ATTR_reals:
    out->is_list = attr->count > 1;
    out->count = attr->count;
    for (int i = 0; i < attr->count; ++i) out->num[i] = ((const float *)field)[i];
    break;
  case QN_ATTR_list: {
    const qn_list *list = field;
    get_ints(list->at, list->count, true, out);
    break;
  }
  case QN_ATTR_padding: {
    const qn_padding *p = field;
    int32_t side[4] = {p->top, p->bottom, p->left, p->right};
    if (p->mode == QN_PADDING_explicit) {
      get_ints(side, 4, true, out);
    } else {
      get_word(attr->kind, (int)p->mode, out);
    }
    break;
  }
  case QN_ATTR_flag: get_word(attr->kind, *(const bool *)field, out); break;
  case QN_ATTR_activation: get_word(attr->kind, (int)*(const qn_activation *)field, out); break;
  case QN_ATTR_contract: get_word(attr->kind, (int)*(const qn_contract *)field, out); break;
  }
}

/* -0 and 0 differ, NaNs are the same: as text does. */
static bool same_number(double x, double y) {
  return isnan(x) ? isnan(y) : x == y && !signbit(x) == !signbit(y);
}

bool qn_is_default_attr(const qn_attrs *attrs, const qn_attr *attr) {
  if (attr->needed) return false;
  qn_attr_text text;
  qn_get_attr(attrs, attr, &text);
  bool is_word = text.count < 0;
  switch (attr->kind) {
  case QN_ATTR_list: return text.count == 0;
  case QN_ATTR_flag:
  case QN_ATTR_activation:
  case QN_ATTR_padding:
  case QN_ATTR_contract:
    return is_word && strcmp(text.word, qn_attr_words(attr->kind, (int)attr->def[0])) == 0;
  default: break;
  }
  for (int i = 0; i < attr->count; ++i) {
    bool real = attr->kind == QN_ATTR_real || attr->kind == QN_ATTR_reals;
    if (!same_number(text.num[i], real ? (float)attr->def[i] : attr->def[i])) return false;
  }
  return true;
}
