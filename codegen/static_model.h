/* What the codecs with static tables share: huffman and rans. They code the same things in the same
 * order, runtime/static_model.h's, each with bits of its own. */
#ifndef QN_STATIC_MODEL_H
#define QN_STATIC_MODEL_H

#include "encode.h"

enum {
  QN_SYMBOLS = 32,
  QN_TABLES = 4,
  QN_LEVEL_0 = 16,
  QN_PREDICTION_CODE = 180, /* bytes of code that it takes, about */
  QN_PEAK_CODE = 50
};

/* How weights are said. */
typedef struct {
  bool flat;   /* they have no rows */
  bool levels; /* distances are symbols, from QN_LEVEL_0 on; all weights must be */
} qn_static_form;

/* The symbol of a distance, and the bits that it leaves open beside the sign. */
uint32_t qn_symbol_of(int32_t distance);
static inline uint32_t qn_open_bits(uint32_t symbol) { return symbol ? (symbol - 1) >> 2 : 0; }
/* Whether symbols can be levels, -16..15. */
bool qn_are_levels(const qn_coded_tensor *tensors, int count);

/* -- static_tables.c: tables for groups of rows. */
typedef struct {
  uint32_t count[QN_SYMBOLS];
  bool zero; /* has no symbols */
  int table; /* out: the one that it is shortest with */
} qn_histogram;

typedef struct {
  int count;
  bool zeros;      /* there is a table for zero rows as well, behind the others */
  int number_bits; /* of a table's number */
  uint16_t code[QN_TABLES][QN_SYMBOLS]; /* as the codec has it; 0: none */
  uint32_t cost[QN_TABLES][QN_SYMBOLS]; /* of a symbol, in 1/256 bits */
  uint64_t bits;                        /* of all rows' symbols and the tables, in 1/256 */
} qn_static_tables;

/* How a codec makes a table of what it is to serve; which symbols of count 0 need not have a code.
 * Sets code and cost. */
typedef void qn_fit_table(const uint64_t count[QN_SYMBOLS], uint16_t code[QN_SYMBOLS],
                          uint32_t cost[QN_SYMBOLS]);
/* table_bits: what a table takes. a: scratch. */
void qn_fit_tables(qn_arena *a, qn_fit_table *fit, uint32_t table_bits, qn_histogram *rows,
                   int count, bool zeros, qn_static_tables *out);

/* -- static_model.c */
/* A tensor as it is coded. */
typedef struct {
  const qn_coded_tensor *from; /* of weights without rows: one row */
  uint32_t kind;
  uint32_t k, base; /* of integers */
  uint64_t factor;  /* of multipliers */
  uint32_t *mantissas;
  bool predicted, peaks; /* of weights */
  int way_count;
  qn_prediction ways[3];
  uint32_t lags[3];  /* of each way, as the features have them; 0: it is not possible */
  double bits[3][2]; /* of each way, without and with peaks */
  qn_prediction p;
  int8_t *distance; /* of each weight, by rows */
  uint32_t *peak;   /* of each row; cols: none */
  qn_histogram *row;
} qn_static_tensor;

typedef struct {
  qn_static_form form;
  uint32_t lags; /* of predictions, as the features have them */
  qn_static_tensor *at;
  int count;
  qn_histogram *rows; /* of all weights, to fit tables to */
  int row_count;
  bool zeros; /* a table for zero rows is worth it */
} qn_static_model;

/* images: of qn_build_images. False when there are tensors that cannot be said; theirs is
 * QN_NOT_CODED. */
bool qn_prepare_static(qn_arena *a, qn_coded_tensor *tensors, int count, const uint8_t *images,
                       qn_static_form form, qn_static_model *out);
/* The decoder's argument. */
uint32_t qn_static_features(const qn_static_model *m, int number_bits);

/* Where a codec takes what is coded. The first member of its own structure. */
typedef struct qn_static_writer {
  /* x < 2^bits, all equally likely; at most 25 bits. */
  void (*put)(struct qn_static_writer *w, uint32_t x, uint32_t bits);
  /* Distances that follow one another in the image, by a table. */
  void (*put_run)(struct qn_static_writer *w, int table, const int8_t *distance, uint32_t count);
  uint32_t features;
  int zeros; /* number of the table of zero rows */
} qn_static_writer;

/* A tensor; before: the one before it in its image, or NULL. */
void qn_put_static(qn_static_writer *w, const qn_static_tensor *x, const qn_static_tensor *before);

#endif
