/* Messages on standard error, and the line they are about with a caret:
 *
 *   model.qn:4:8: error: input has 3 channels, weights take 1 x 1 groups
 *     %y = conv2d %x, @w, @b : f32[1,4,4,2]
 *          ^
 *
 * Columns count characters, not bytes. A tab in the line is a tab before the caret, a long line is
 * cut around it. Control characters, which a hostile file could send to the terminal, become '?'.
 */
#include "ir.h"

#include <stdarg.h>
#include <string.h>

enum { MAX_MESSAGE = 2048, MAX_SHOWN = 120, MAX_SLIP = 64 };

const qn_loc qn_nowhere = {0, -1};

qn_loc qn_byte(size_t offset) {
  return (qn_loc){0, offset < INT32_MAX ? (int32_t)offset : INT32_MAX};
}

/* Bytes of the character at s: a well-formed UTF-8 sequence, or 1 for any other byte. */
static size_t char_bytes(const char *s, const char *end) {
  unsigned char c = (unsigned char)*s;
  size_t n = c >= 0xC2 && c < 0xE0 ? 2 : c >= 0xE0 && c < 0xF0 ? 3 : c >= 0xF0 && c < 0xF5 ? 4 : 1;
  if (n > (size_t)(end - s)) return 1;
  for (size_t i = 1; i < n; ++i) {
    if (((unsigned char)s[i] & 0xC0) != 0x80) return 1;
  }
  return n;
}

/* Prints at most `count` characters of [s, end); returns where it stopped. */
static const char *put_text(const char *s, const char *end, int count) {
  for (; s < end && count > 0; --count) {
    size_t n = char_bytes(s, end);
    unsigned char c = (unsigned char)*s;
    bool plain = n > 1 || (c >= 0x20 && c < 0x7F) || c == '\t';
    if (n == 2 && c == 0xC2 && (unsigned char)s[1] < 0xA0) plain = false; /* C1 controls */
    if (plain) {
      fwrite(s, 1, n, stderr);
    } else {
      fputc('?', stderr);
    }
    s += n;
  }
  return s;
}

static const char *find_line(const qn_source *src, int32_t line) {
  const char *s = src->text, *end = src->text + src->size;
  for (int32_t i = 1; i < line; ++i) {
    const char *newline = s < end ? memchr(s, '\n', (size_t)(end - s)) : NULL;
    if (!newline) return NULL;
    s = newline + 1;
  }
  return s;
}

static void put_line(const qn_source *src, qn_loc loc) {
  const char *s = find_line(src, loc.line);
  if (!s) return;
  const char *end = src->text + src->size;
  const char *newline = s < end ? memchr(s, '\n', (size_t)(end - s)) : NULL;
  if (newline) end = newline;
  if (s < end && end[-1] == '\r') --end;

  int skip = loc.col > MAX_SHOWN * 3 / 4 ? loc.col - MAX_SHOWN / 2 : 0;
  for (int i = 0; i < skip && s < end; ++i) s += char_bytes(s, end);
  fputs(skip ? "  ..." : "  ", stderr);
  const char *shown = s;
  s = put_text(s, end, MAX_SHOWN);
  fputs(s < end ? "...\n" : "\n", stderr);

  fputs(skip ? "     " : "  ", stderr);
  for (int i = skip + 1; i < loc.col; ++i) {
    fputc(shown < s && *shown == '\t' ? '\t' : ' ', stderr);
    if (shown < s) shown += char_bytes(shown, s);
  }
  fputs("^\n", stderr);
}

static void report(const qn_source *src, qn_loc loc, const char *kind, const char *format,
                   va_list list) {
  char text[MAX_MESSAGE];
  vsnprintf(text, sizeof text, format, list);
  if (src && src->name) {
    put_text(src->name, src->name + strlen(src->name), MAX_MESSAGE);
  } else {
    fputs("quern", stderr);
  }
  if (loc.line > 0) {
    fprintf(stderr, ":%d:%d", loc.line, loc.col);
  } else if (loc.col >= 0) {
    fprintf(stderr, ": byte %d", loc.col);
  }
  fprintf(stderr, ": %s: ", kind);
  put_text(text, text + strlen(text), MAX_MESSAGE);
  fputc('\n', stderr);
  if (src && src->text && !src->binary && loc.line > 0) put_line(src, loc);
}

qn_status qn_error(const qn_source *src, qn_loc loc, const char *format, ...) {
  va_list list;
  va_start(list, format);
  report(src, loc, "error", format, list);
  va_end(list);
  return QN_EINPUT;
}

void qn_note(const qn_source *src, qn_loc loc, const char *format, ...) {
  va_list list;
  va_start(list, format);
  report(src, loc, "note", format, list);
  va_end(list);
}

qn_status qn_io_error(const char *name, const char *format, ...) {
  qn_source src = {.name = name};
  va_list list;
  va_start(list, format);
  report(&src, qn_nowhere, "error", format, list);
  va_end(list);
  return QN_EIO;
}

qn_status qn_bug(const char *format, ...) {
  va_list list;
  va_start(list, format);
  report(NULL, qn_nowhere, "internal error", format, list);
  va_end(list);
  return QN_EBUG;
}

static int min3(int a, int b, int c) {
  int m = a < b ? a : b;
  return m < c ? m : c;
}

/* Damerau-Levenshtein distance (optimal string alignment): insertions, deletions, replacements and
 * swaps of neighbours. Lengths are at most MAX_SLIP.
 * Source: Damerau 1964, "A technique for computer detection and correction of spelling errors". */
static int edit_distance(const char *a, size_t a_size, const char *b, size_t b_size) {
  int row[3][MAX_SLIP + 1];
  for (size_t j = 0; j <= b_size; ++j) row[0][j] = (int)j;
  for (size_t i = 1; i <= a_size; ++i) {
    int *now = row[i % 3], *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];
    now[0] = (int)i;
    for (size_t j = 1; j <= b_size; ++j) {
      int replace = last[j - 1] + (a[i - 1] != b[j - 1]);
      now[j] = min3(last[j] + 1, now[j - 1] + 1, replace);
      bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped && before[j - 2] + 1 < now[j]) now[j] = before[j - 2] + 1;
    }
  }
  return row[a_size % 3][b_size];
}

const char *qn_nearest(const char *name, const char *const *candidates) {
  const char *best = NULL;
  int best_distance = MAX_SLIP;
  size_t size = strlen(name);
  if (size > MAX_SLIP) return NULL;
  for (; *candidates; ++candidates) {
    size_t other = strlen(*candidates);
    if (other > MAX_SLIP) continue;
    int distance = edit_distance(name, size, *candidates, other);
    int limit = (int)(size > other ? size : other) / 3;
    if (distance <= limit && distance < best_distance) {
      best = *candidates;
      best_distance = distance;
    }
  }
  return best;
}
