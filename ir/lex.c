/* Text -> tokens and numbers. The text is not NUL-terminated and may hold anything; every read is
 * checked against its end. Blanks, line ends and comments (// to the end of the line) part tokens.
 */
#include "text.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_NUMBER = 127, MAX_STRING = 1024 };

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_name_char(char c) { return is_name_start(c) || is_digit(c) || c == '.'; }

/* Moves over bytes of one line; those inside a UTF-8 character count no column. */
static void advance(qn_lexer *l, size_t size) {
  for (; size; --size, ++l->at) l->loc.col += ((unsigned char)*l->at & 0xC0) != 0x80;
}

static void skip_blanks(qn_lexer *l) {
  while (l->at < l->end) {
    if (*l->at == '\n') {
      ++l->at;
      l->loc = (qn_loc){l->loc.line + 1, 1};
    } else if (*l->at == ' ' || *l->at == '\t' || *l->at == '\r') {
      advance(l, 1);
    } else if (l->end - l->at >= 2 && l->at[0] == '/' && l->at[1] == '/') {
      const char *newline = memchr(l->at, '\n', (size_t)(l->end - l->at));
      advance(l, (size_t)((newline ? newline : l->end) - l->at));
    } else {
      return;
    }
  }
}

static size_t name_size(const char *s, const char *end) {
  const char *start = s;
  while (s < end && is_name_char(*s)) ++s;
  return (size_t)(s - start);
}

/* Name characters, and signs behind an e: more than a number can be, so that `1x` is one mistake.
 */
static size_t number_size(const char *s, const char *end) {
  const char *start = s;
  if (*s == '+' || *s == '-') ++s;
  while (s < end &&
         (is_name_char(*s) || ((*s == '+' || *s == '-') && (s[-1] == 'e' || s[-1] == 'E')))) {
    ++s;
  }
  return (size_t)(s - start);
}

static const char *skip_digits(const char *s, const char *end) {
  while (s < end && is_digit(*s)) ++s;
  return s;
}

static bool is_unsigned_special(const char *s, size_t size) {
  return size == 3 && (memcmp(s, "inf", 3) == 0 || memcmp(s, "nan", 3) == 0);
}

static bool is_number(const char *s, size_t size) {
  const char *end = s + size;
  if (s < end && (*s == '+' || *s == '-')) ++s;
  if (is_unsigned_special(s, (size_t)(end - s))) return true;
  const char *whole = s;
  s = skip_digits(s, end);
  bool digits = s > whole;
  if (s < end && *s == '.') {
    const char *fraction = ++s;
    s = skip_digits(s, end);
    digits = digits || s > fraction;
  }
  if (!digits) return false;
  if (s == end) return true;
  if (*s != 'e' && *s != 'E') return false;
  ++s;
  if (s < end && (*s == '+' || *s == '-')) ++s;
  return s < end && skip_digits(s, end) == end;
}

static void set_token(qn_lexer *l, int kind, size_t skipped, size_t size, size_t behind) {
  l->token = (qn_token){kind, l->loc, l->at + skipped, size};
  advance(l, skipped + size + behind);
}

static qn_status check_name(const qn_lexer *l, const char *what, size_t size) {
  if (size == 0) return qn_error(l->src, l->loc, "expected %s", what);
  if (size > QN_MAX_NAME) {
    return qn_error(l->src, l->loc, "a name of %zu bytes; at most %d", size, QN_MAX_NAME);
  }
  return QN_OK;
}

/* %name or @name */
static qn_status lex_sigil(qn_lexer *l) {
  bool value = *l->at == '%';
  size_t size = name_size(l->at + 1, l->end);
  QN_TRY(check_name(l, value ? "a name behind '%'" : "a name behind '@'", size));
  set_token(l, value ? QN_TOKEN_VALUE : QN_TOKEN_SYMBOL, 1, size, 0);
  return QN_OK;
}

static qn_status lex_number(qn_lexer *l) {
  size_t size = number_size(l->at, l->end);
  if (size > MAX_NUMBER) {
    return qn_error(l->src, l->loc, "a number of %zu characters; at most %d", size, MAX_NUMBER);
  }
  if (!is_number(l->at, size)) {
    return qn_error(l->src, l->loc, "'%.*s' is not a number", (int)size, l->at);
  }
  set_token(l, QN_TOKEN_NUMBER, 0, size, 0);
  return QN_OK;
}

static qn_status lex_string(qn_lexer *l) {
  const char *start = l->at + 1, *s = start;
  while (s < l->end && (unsigned char)*s >= 0x20 && *s != 0x7F && *s != '"' && *s != '\\') ++s;
  if (s == l->end || *s != '"') {
    return qn_error(l->src, l->loc,
                    "expected '\"' at the end of the string; "
                    "backslashes and control characters are not allowed");
  }
  size_t size = (size_t)(s - start);
  if (size > MAX_STRING) {
    return qn_error(l->src, l->loc, "a string of %zu bytes; at most %d", size, MAX_STRING);
  }
  set_token(l, QN_TOKEN_STRING, 1, size, 1);
  return QN_OK;
}

qn_status qn_next_token(qn_lexer *l) {
  skip_blanks(l);
  if (l->at == l->end) {
    set_token(l, QN_TOKEN_END, 0, 0, 0);
    return QN_OK;
  }
  char c = *l->at;
  if (c == '%' || c == '@') return lex_sigil(l);
  if (c == '"') return lex_string(l);
  if (c == '-' && l->end - l->at >= 2 && l->at[1] == '>') {
    set_token(l, QN_TOKEN_ARROW, 0, 2, 0);
    return QN_OK;
  }
  if (is_digit(c) || c == '-' || c == '+' || c == '.') return lex_number(l);
  if (is_name_start(c)) {
    size_t size = name_size(l->at, l->end);
    QN_TRY(check_name(l, "a name", size));
    set_token(l, QN_TOKEN_NAME, 0, size, 0);
    return QN_OK;
  }
  if (c && strchr("()[]{},:=", c)) {
    set_token(l, c, 0, 1, 0);
    return QN_OK;
  }
  if (c > 0x20 && c < 0x7F) return qn_error(l->src, l->loc, "unexpected character '%c'", c);
  return qn_error(l->src, l->loc, "unexpected byte 0x%02x", (unsigned char)c);
}

qn_status qn_next_name(qn_lexer *l) {
  skip_blanks(l);
  size_t size = name_size(l->at, l->end);
  QN_TRY(check_name(l, "a name", size));
  set_token(l, QN_TOKEN_NAME, 0, size, 0);
  return QN_OK;
}

qn_status qn_start_lexer(qn_lexer *l, const qn_source *src) {
  *l = (qn_lexer){.src = src, .at = src->text, .end = src->text + src->size, .loc = {1, 1}};
  return qn_next_token(l);
}

/* -- expectations */

bool qn_at_word(const qn_lexer *l, const char *word) {
  return l->token.kind == QN_TOKEN_NAME && l->token.size == strlen(word) &&
         memcmp(l->token.text, word, l->token.size) == 0;
}

qn_status qn_expected(const qn_lexer *l, const char *what) {
  const qn_token *t = &l->token;
  if (t->kind == QN_TOKEN_END) {
    return qn_error(l->src, t->loc, "expected %s, saw the end of the file", what);
  }
  const char *sigil = t->kind == QN_TOKEN_VALUE ? "%" : t->kind == QN_TOKEN_SYMBOL ? "@" : "";
  const char *quote = t->kind == QN_TOKEN_STRING ? "\"" : "";
  int size = t->size < 60 ? (int)t->size : 60;
  return qn_error(l->src, t->loc, "expected %s, saw '%s%s%.*s%s%s'", what, sigil, quote, size,
                  t->text, t->size > 60 ? "..." : "", quote);
}

qn_status qn_skip_token(qn_lexer *l, int kind, const char *what) {
  if (l->token.kind != kind) return qn_expected(l, what);
  return qn_next_token(l);
}

qn_status qn_skip_word(qn_lexer *l, const char *word) {
  char what[32];
  if (qn_at_word(l, word)) return qn_next_token(l);
  snprintf(what, sizeof what, "'%s'", word);
  return qn_expected(l, what);
}

/* -- numbers */

static void copy_number(const qn_token *t, char out[MAX_NUMBER + 1]) {
  size_t size = t->size <= MAX_NUMBER ? t->size : MAX_NUMBER;
  memcpy(out, t->text, size);
  out[size] = 0;
}

qn_status qn_take_int(qn_lexer *l, const char *what, int64_t low, int64_t high, int64_t *out) {
  const qn_token *t = &l->token;
  if (t->kind != QN_TOKEN_NUMBER) return qn_expected(l, "an integer");
  char text[MAX_NUMBER + 1], *end;
  copy_number(t, text);
  errno = 0;
  long long x = strtoll(text, &end, 10);
  if (*end) return qn_error(l->src, t->loc, "%s must be an integer, got %s", what, text);
  if (errno == ERANGE || x < low || x > high) {
    return qn_error(l->src, t->loc, "%s must be %" PRId64 " to %" PRId64 ", got %s", what, low,
                    high, text);
  }
  *out = x;
  return qn_next_token(l);
}

qn_status qn_take_number(qn_lexer *l, const char *what, bool as_float, double *out) {
  const qn_token *t = &l->token;
  bool special = t->kind == QN_TOKEN_NAME && is_unsigned_special(t->text, t->size);
  if (t->kind != QN_TOKEN_NUMBER && !special) return qn_expected(l, "a number");
  char text[MAX_NUMBER + 1];
  copy_number(t, text);
  double x = as_float ? strtof(text, NULL) : strtod(text, NULL);
  if (isinf(x) && !strchr(text, 'i')) {
    return qn_error(l->src, t->loc, "%s is too large: %s", what, text);
  }
  *out = x;
  return qn_next_token(l);
}

qn_status qn_take_float(qn_lexer *l, const char *what, float *out) {
  qn_token t = l->token;
  double x;
  QN_TRY(qn_take_number(l, what, true, &x));
  if (!isfinite(x)) {
    return qn_error(l->src, t.loc, "%s must be finite, got %.*s", what, (int)t.size, t.text);
  }
  *out = (float)x;
  return QN_OK;
}
