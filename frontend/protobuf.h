/* Checked access to protocol buffers' wire format, the form of ONNX files.
 *
 * A message is a run of fields, in any order. A field starts with a varint, its number << 3 | its
 * wire type; then, by the wire type: 0 a varint (7 bits per byte, low ones first, bit 7 set in all
 * but the last), 1 eight bytes, 2 a varint of bytes to come and so many bytes (a message, text, or a
 * packed list), 5 four bytes. A repeated number is one field per element, or, for numbers, packed.
 * Where a field that may stand once stands several times, the last one counts.
 *
 * This is read in place, without a library: protobuf-c unpacks a file into structures first, which
 * takes memory out of proportion (20 MB of empty nodes become 1.5 GB), recurses as deep as a
 * file says (messages in messages, 30 KB of them, overflow the stack), and cannot say at which byte a
 * file is wrong. Here nothing is allocated and nothing recurses.
 *
 * Nothing the file says is trusted: every length is compared with the message that holds it. The
 * first thing that is wrong is reported with its byte and kept in `status`; from then on everything
 * reads as left out, and every message as at its end. */
#ifndef QN_PROTOBUF_H
#define QN_PROTOBUF_H

#include "../ir/ir.h"

typedef struct {
  const qn_source *src;
  qn_status status;
} qn_pb;

/* Bytes of the file: a message, a text or a packed list. Left out: at and size are 0. */
typedef struct {
  size_t at, size;
} qn_pb_bytes;

typedef struct {
  int number, wire;
  size_t at;         /* of the field */
  uint64_t value;    /* of wire type 0, 1 and 5: the bits */
  qn_pb_bytes bytes; /* of wire type 2; also of 1 and 5 */
} qn_pb_field;

qn_pb_bytes qn_pb_root(const qn_pb *pb); /* the file as a message */

/* The next field of the message whose rest is *rest, which starts as the whole message. False at
 * its end. */
bool qn_pb_next(qn_pb *pb, qn_pb_bytes *rest, qn_pb_field *out);
/* The next field of that number and wire type 2: text, or a message. */
bool qn_pb_next_bytes(qn_pb *pb, qn_pb_bytes *rest, int number, qn_pb_bytes *out);

/* A field that may stand once; `absent` (for bytes: none) where it is left out. */
int64_t qn_pb_int(qn_pb *pb, qn_pb_bytes message, int number, int64_t absent);
float qn_pb_float(qn_pb *pb, qn_pb_bytes message, int number, float absent);
qn_pb_bytes qn_pb_child(qn_pb *pb, qn_pb_bytes message, int number);
bool qn_pb_has(qn_pb *pb, qn_pb_bytes message, int number);

/* Goes through a repeated number, packed or not. */
typedef struct {
  int number;
  bool is_float; /* 4 bytes per element; else varints */
  qn_pb_bytes rest, packed;
} qn_pb_list;
qn_pb_list qn_pb_open_list(qn_pb_bytes message, int number, bool is_float);
/* The next element: of floats the bits. False at the end. */
bool qn_pb_next_number(qn_pb *pb, qn_pb_list *list, uint64_t *out);

bool qn_pb_is(const qn_pb *pb, qn_pb_bytes text, const char *word);
float qn_pb_to_float(uint64_t bits);

#endif
