/* A JSON schema (draft 7) of YAML models, so that editors complete and check them while they are
 * written. The layers' part is the op and attribute tables, row by row. */
#include <math.h>
#include <string.h>
#include "frontend.h"

static void put_text(FILE *to, const char *text) {
  fputc('"', to);
  for (; *text; text++) fprintf(to, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
  fputc('"', to);
}

static void put_words(FILE *to, qn_attr_kind kind) {
  fputs("\"enum\": [", to);
  const char *word;
  for (int i = 0; (word = qn_attr_words(kind, i)); i++) {
    if (i) fputs(", ", to);
    put_text(to, word);
  }
  fputc(']', to);
}

/* The kind of an attribute, without the braces around it. */
static void put_kind(FILE *to, const qn_attr *attr) {
  const char *element = attr->kind == QN_ATTR_reals ? "number" : "integer";
  switch (attr->kind) {
  case QN_ATTR_int: fputs("\"type\": \"integer\"", to); break;
  case QN_ATTR_real: fputs("\"type\": \"number\"", to); break;
  case QN_ATTR_flag: fputs("\"type\": \"boolean\"", to); break;
  case QN_ATTR_ints:
  case QN_ATTR_reals:
    fprintf(
        to,
        "\"type\": \"array\", \"items\": {\"type\": \"%s\"}, \"minItems\": %d, \"maxItems\": %d",
        element, attr->count, attr->count);
    break;
  case QN_ATTR_list:
    fprintf(to, "\"type\": \"array\", \"items\": {\"type\": \"integer\"}, \"maxItems\": %d",
            QN_MAX_RANK);
    break;
  case QN_ATTR_padding:
    fputs("\"oneOf\": [{", to);
    put_words(to, attr->kind);
    fputs("}, {\"type\": \"array\", \"items\": {\"type\": \"integer\"}, \"minItems\": 4, "
          "\"maxItems\": 4}]",
          to);
    break;
  case QN_ATTR_activation:
  case QN_ATTR_contract: put_words(to, attr->kind); break;
  }
}

static void put_number(FILE *to, double x, bool real) {
  if (real)
    qn_print_float(to, (float)x);
  else
    fprintf(to, "%.0f", x);
}

/* JSON has no infinities: such a default is left to the description. */
static void put_default(FILE *to, const qn_attr *attr, const qn_attrs *attrs) {
  qn_attr_text text;
  qn_get_attr(attrs, attr, &text);
  if (attr->needed || (text.count > 0 && isinf(text.num[0]))) return;
  fputs(", \"default\": ", to);
  if (text.count < 0 && attr->kind == QN_ATTR_flag)
    fputs(text.word, to);
  else if (text.count < 0)
    put_text(to, text.word);
  if (text.is_list) fputc('[', to);
  for (int i = 0; i < text.count; i++) {
    if (i) fputs(", ", to);
    put_number(to, text.num[i], attr->kind == QN_ATTR_real || attr->kind == QN_ATTR_reals);
  }
  if (text.is_list) fputc(']', to);
}

static void put_operands(FILE *to, qn_opcode code) {
  bool variadic = strchr(qn_ops[code].sig, '+') != NULL;
  for (const char *p = qn_ops[code].operands; *p; p += strspn(p, " ")) {
    size_t size = strcspn(p, " ");
    fprintf(to, ",\n        \"%.*s\": {\"$ref\": \"#/definitions/%s\"}", (int)size, p,
            variadic ? "operands" : "operand");
    p += size;
  }
}

/* Needed keys: operands but the first and the optional ones, and attributes without a default. A
 * layer without any may have no keys at all, as in `- flatten:`. */
static void put_needed(FILE *to, qn_opcode code) {
  int count = 0, k = 0;
  for (const char *p = qn_ops[code].operands; *p; p += strspn(p, " "), k++) {
    size_t size = strcspn(p, " ");
    if (k > 0 && k < qn_min_operands(code))
      fprintf(to, "%s\"%.*s\"", count++ ? ", " : ",\n      \"required\": [", (int)size, p);
    p += size;
  }
  for (const qn_attr *attr = qn_ops[code].attrs; attr->name; attr++)
    if (attr->needed)
      fprintf(to, "%s\"%s\"", count++ ? ", " : ",\n      \"required\": [", attr->name);
  fputs(count ? "],\n      \"type\": \"object\"" : ",\n      \"type\": [\"object\", \"null\"]", to);
}

static void put_op(FILE *to, qn_opcode code) {
  const qn_op_info *op = &qn_ops[code];
  qn_attrs attrs;
  qn_default_attrs(code, &attrs);
  fprintf(to, "     \"%s\": {\n      \"description\": ", op->name);
  put_text(to, op->doc);
  fputs(",\n      \"additionalProperties\": false,\n"
        "      \"properties\": {\n"
        "        \"name\": {\"$ref\": \"#/definitions/name\"},\n"
        "        \"out\": {\"$ref\": \"#/definitions/type\"}",
        to);
  put_operands(to, code);
  for (const qn_attr *attr = op->attrs; attr->name; attr++) {
    fprintf(to, ",\n        \"%s\": {\"description\": ", attr->name);
    put_text(to, attr->doc);
    fputs(", ", to);
    put_kind(to, attr);
    put_default(to, attr, &attrs);
    fputc('}', to);
  }
  fputs("}", to);
  put_needed(to, code);
  fputc('}', to);
}

static void put_elems(FILE *to) {
  for (int e = 0; e < QN_ELEM_COUNT; e++)
    fprintf(to, "%s%s", e ? "|" : "", qn_elem_name((qn_elem)e));
}

static void put_definitions(FILE *to) {
  fputs(" \"definitions\": {\n"
        "  \"name\": {\"type\": \"string\", \"pattern\": \"^[A-Za-z0-9_.]+$\"},\n"
        "  \"type\": {\"type\": \"string\", \"pattern\": \"^ *(",
        to);
  put_elems(to);
  fputs(")( *\\\\[[0-9, ]*\\\\])?( *q *\\\\(.*\\\\))? *$\",\n"
        "    \"description\": \"f32[1,28,28,1], i8[1,10] q(scale, zero), or without dims i8 "
        "q(scale, zero)\"},\n"
        "  \"numbers\": {\"type\": \"array\", \"minItems\": 1, \"items\": {\"anyOf\": [{\"type\": "
        "\"number\"}, "
        "{\"$ref\": \"#/definitions/numbers\"}]}},\n"
        "  \"operand\": {\"description\": \"a layer, an input, a tensor of the weights, a .npy "
        "file, or numbers\",\n"
        "    \"anyOf\": [{\"type\": \"string\"}, {\"type\": \"number\"}, {\"$ref\": "
        "\"#/definitions/numbers\"}]},\n",
        to);
  fprintf(to,
          "  \"operands\": {\"description\": \"the operands, in order\",\n"
          "    \"anyOf\": [{\"type\": \"string\"}, {\"type\": \"array\", \"minItems\": 1, "
          "\"maxItems\": %d, "
          "\"items\": {\"$ref\": \"#/definitions/operand\"}}]},\n",
          QN_MAX_IN);
  fputs("  \"layer\": {\"type\": \"object\", \"minProperties\": 1, \"maxProperties\": 1,\n"
        "    \"additionalProperties\": false, \"properties\": {\n",
        to);
  for (int code = 0; code < QN_OP_COUNT; code++) {
    put_op(to, (qn_opcode)code);
    fputs(code + 1 < QN_OP_COUNT ? ",\n" : "}}\n", to);
  }
  fputs(" }\n", to);
}

void qn_print_schema(FILE *to) {
  fputs(
      "{\n"
      " \"$schema\": \"http://json-schema.org/draft-07/schema#\",\n"
      " \"title\": \"Quern model\",\n"
      " \"type\": \"object\", \"additionalProperties\": false,\n"
      " \"required\": [\"quern\", \"inputs\", \"layers\", \"outputs\"],\n"
      " \"properties\": {\n"
      "  \"quern\": {\"const\": 1, \"description\": \"version of the format\"},\n"
      "  \"model\": {\"type\": \"string\", \"description\": \"prefix of the object's symbols\"},\n"
      "  \"weights\": {\"description\": \"paths of .safetensors files, from this file's folder\",\n"
      "    \"anyOf\": [{\"type\": \"string\"}, {\"type\": \"array\", \"items\": {\"type\": "
      "\"string\"}}]},\n"
      "  \"inputs\": {\"type\": \"object\", \"additionalProperties\": {\"$ref\": "
      "\"#/definitions/type\"}},\n"
      "  \"constants\": {\"description\": \"tensors of the weights that are quantized, as i8 "
      "q(@scales, axis=0)\",\n"
      "    \"type\": [\"object\", \"null\"], \"additionalProperties\": {\"$ref\": "
      "\"#/definitions/type\"}},\n"
      "  \"layers\": {\"type\": \"array\", \"items\": {\"$ref\": \"#/definitions/layer\"}},\n"
      "  \"quantize\": ",
      to);
  qn_print_quantize_schema(to);
  fprintf(to,
          ",\n  \"outputs\": {\"type\": \"array\", \"minItems\": 1, \"maxItems\": %d, "
          "\"items\": {\"type\": \"string\"}}\n },\n",
          QN_MAX_IN);
  put_definitions(to);
  fputs("}\n", to);
}
