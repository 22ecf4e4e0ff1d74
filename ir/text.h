/* Tokens of the text form, and tables of names. */
#ifndef QN_TEXT_H
#define QN_TEXT_H

#include "ir.h"

/* A token is one of these or a character of ( ) [ ] { } , : = */
enum {
  QN_TOKEN_END = 256,
  QN_TOKEN_NAME,   /* letter or _, then letters, digits, _ and . */
  QN_TOKEN_NUMBER, /* [+-] digits [. digits] [e [+-] digits], or a sign and inf or nan */
  QN_TOKEN_VALUE,  /* %name; text is without the % */
  QN_TOKEN_SYMBOL, /* @name; text is without the @ */
  QN_TOKEN_STRING, /* "printable characters"; text is without the quotes */
  QN_TOKEN_ARROW   /* -> */
};

typedef struct {
  int kind;
  qn_loc loc;
  const char *text; /* in the source */
  size_t size;
} qn_token;

typedef struct {
  const qn_source *src;
  const char *at, *end;
  qn_loc loc;     /* of at */
  qn_token token; /* the one token of look-ahead */
} qn_lexer;

/* -- lex.c. Each function reports what it does not like at its place. */
qn_status qn_start_lexer(qn_lexer *l, const qn_source *src) QN_MUST_CHECK; /* and reads a token */
qn_status qn_next_token(qn_lexer *l) QN_MUST_CHECK;
/* The next token, which must be name characters, be they a number or not. */
qn_status qn_next_name(qn_lexer *l) QN_MUST_CHECK;

bool qn_at_word(const qn_lexer *l, const char *word); /* the token is this NAME */
/* "expected WHAT, saw 'x'" at the token */
qn_status qn_expected(const qn_lexer *l, const char *what);
/* Skips the token if it is of this kind or character; else an error. */
qn_status qn_skip_token(qn_lexer *l, int kind, const char *what) QN_MUST_CHECK;
qn_status qn_skip_word(qn_lexer *l, const char *word) QN_MUST_CHECK;
/* The token must be a number; skips it. what: "a dim", the message's subject. */
qn_status qn_take_int(qn_lexer *l, const char *what, int64_t low, int64_t high,
                      int64_t *out) QN_MUST_CHECK;
qn_status qn_take_float(qn_lexer *l, const char *what, float *out) QN_MUST_CHECK; /* finite */
/* inf, -inf, nan too; the value is rounded to float first when as_float is set. */
qn_status qn_take_number(qn_lexer *l, const char *what, bool as_float, double *out) QN_MUST_CHECK;

/* -- names.c: what names stand for, by scope: any address that tells scopes apart. Finding one
 *    takes the same time however many there are. */
typedef struct {
  const void *scope;
  const char *name;
  size_t hash;
  void *what;
  qn_loc loc;
} qn_entry;

typedef struct {
  qn_entry *at; /* open addressing: `size` of them, a power of two or 0 */
  size_t size, count;
} qn_names;

const qn_entry *qn_find_name(const qn_names *n, const void *scope, const char *name,
                             size_t size); /* or NULL */
/* The entry that has the name already, or NULL: it has been added. name is borrowed. */
const qn_entry *qn_add_name(qn_names *n, qn_arena *a, const void *scope, const char *name,
                            void *what, qn_loc loc);
/* The name stands for `what` from now on, whether it has been added before or not. */
void qn_set_name(qn_names *n, qn_arena *a, const void *scope, const char *name, void *what);

#endif
