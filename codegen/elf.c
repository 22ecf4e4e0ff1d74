/* An ELF object -> its undefined and global symbols, writable sections and sizes.
 *
 * The object was just made by LLVM, so a malformed one is a bug of ours; every offset is checked
 * all the same. 32-bit structures are widened to the 64-bit ones, so one reader serves both. */
#include <elf.h>
#include <string.h>
#include "unit.h"

typedef struct {
  const unsigned char *bytes;
  size_t size;
  bool wide; /* 64 bit */
  Elf64_Ehdr head;
} object;

static bool inside(const object *o, uint64_t offset, uint64_t size) {
  return offset <= o->size && size <= o->size - offset;
}

static bool read_head(object *o) {
  if (o->size < sizeof(Elf32_Ehdr) || memcmp(o->bytes, ELFMAG, SELFMAG) != 0) return false;
  if (o->bytes[EI_DATA] != ELFDATA2LSB) return false;
  o->wide = o->bytes[EI_CLASS] == ELFCLASS64;
  if (o->wide) {
    if (!inside(o, 0, sizeof o->head)) return false;
    memcpy(&o->head, o->bytes, sizeof o->head);
    return o->head.e_shentsize == sizeof(Elf64_Shdr);
  }
  Elf32_Ehdr narrow;
  memcpy(&narrow, o->bytes, sizeof narrow);
  o->head.e_shoff = narrow.e_shoff;
  o->head.e_shnum = narrow.e_shnum;
  o->head.e_shstrndx = narrow.e_shstrndx;
  return narrow.e_shentsize == sizeof(Elf32_Shdr);
}

static bool read_section(const object *o, unsigned index, Elf64_Shdr *out) {
  size_t size = o->wide ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr);
  uint64_t offset = o->head.e_shoff + (uint64_t)index * size;
  if (index >= o->head.e_shnum || !inside(o, offset, size)) return false;
  if (o->wide) {
    memcpy(out, o->bytes + offset, size);
  } else {
    Elf32_Shdr narrow;
    memcpy(&narrow, o->bytes + offset, size);
    *out = (Elf64_Shdr){.sh_name = narrow.sh_name,
                        .sh_type = narrow.sh_type,
                        .sh_flags = narrow.sh_flags,
                        .sh_offset = narrow.sh_offset,
                        .sh_size = narrow.sh_size,
                        .sh_link = narrow.sh_link};
  }
  return out->sh_type == SHT_NOBITS || inside(o, out->sh_offset, out->sh_size);
}

/* A string of a string table; NULL when it does not end inside. */
static const char *read_text(const object *o, unsigned table, uint64_t offset) {
  Elf64_Shdr strings;
  if (!read_section(o, table, &strings) || strings.sh_type != SHT_STRTAB) return NULL;
  if (offset >= strings.sh_size) return NULL;
  const char *text = (const char *)o->bytes + strings.sh_offset + offset;
  return memchr(text, 0, strings.sh_size - offset) ? text : NULL;
}

static void read_symbol(const object *o, const Elf64_Shdr *table, uint64_t index, Elf64_Sym *out) {
  if (o->wide) {
    memcpy(out, o->bytes + table->sh_offset + index * sizeof *out, sizeof *out);
    return;
  }
  Elf32_Sym narrow;
  memcpy(&narrow, o->bytes + table->sh_offset + index * sizeof narrow, sizeof narrow);
  *out = (Elf64_Sym){
      .st_name = narrow.st_name, .st_info = narrow.st_info, .st_shndx = narrow.st_shndx};
}

static qn_status read_symbols(qn_arena *a, const object *o, const Elf64_Shdr *table, qn_elf *out) {
  uint64_t count = table->sh_size / (o->wide ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym));
  out->undefined = qn_alloc(a, count * sizeof *out->undefined);
  out->globals = qn_alloc(a, count * sizeof *out->globals);
  for (uint64_t i = 1; i < count; i++) {
    Elf64_Sym symbol;
    read_symbol(o, table, i, &symbol);
    if (ELF64_ST_BIND(symbol.st_info) == STB_LOCAL) continue;
    const char *name = read_text(o, table->sh_link, symbol.st_name);
    if (!name) return qn_bug("the object has a symbol without a name");
    name = qn_strndup(a, name, strlen(name));
    if (symbol.st_shndx == SHN_UNDEF)
      out->undefined[out->undefined_count++] = name;
    else
      out->globals[out->global_count++] = name;
  }
  return QN_OK;
}

/* Position-independent code needs the description's addresses filled in by the loader, which then
 * makes them read-only. */
static bool is_relocated_constant(const char *name) {
  return strncmp(name, ".data.rel.ro", 12) == 0;
}

qn_status qn_read_elf(qn_arena *a, const void *bytes, size_t size, qn_elf *out) {
  object o = {.bytes = bytes, .size = size};
  *out = (qn_elf){0};
  if (!read_head(&o)) return qn_bug("the object is no little-endian ELF file");
  out->code = qn_alloc(a, ((size_t)o.head.e_shnum + 1) * sizeof *out->code);
  for (unsigned i = 1; i < o.head.e_shnum; i++) {
    Elf64_Shdr section;
    if (!read_section(&o, i, &section)) return qn_bug("the object's section %u is damaged", i);
    const char *name = read_text(&o, o.head.e_shstrndx, section.sh_name);
    if (!name) return qn_bug("the object's section %u has no name", i);
    bool writable = section.sh_flags & SHF_ALLOC && section.sh_flags & SHF_WRITE;
    if (writable && section.sh_size && !is_relocated_constant(name))
      out->writable = qn_strndup(a, name, strlen(name));
    if (section.sh_flags & SHF_ALLOC) out->loaded_bytes += (int64_t)section.sh_size;
    if (section.sh_flags & SHF_EXECINSTR) {
      out->text_bytes += (int64_t)section.sh_size;
      out->code[out->code_count].section = qn_strndup(a, name, strlen(name));
      out->code[out->code_count++].bytes = (int64_t)section.sh_size;
    }
    if (section.sh_type == SHT_SYMTAB) QN_TRY(read_symbols(a, &o, &section, out));
  }
  return QN_OK;
}
