/* A decoder and the stream it is for -> how much code it takes in the object: compiled on its own,
 * with the constants that init will call it with. */
#include <string.h>
#include "unit.h"

/* init(coded, image, scratch, start, image_bytes) calls the decoder. Of one image the last two are
 * constants. */
static qn_status add_call(qn_unit *u, LLVMModuleRef module, const qn_codec *codec,
                          const qn_stream *stream) {
  LLVMValueRef decoder = LLVMGetNamedFunction(module, codec->decoder);
  if (!decoder) return qn_bug("the runtime has no decoder '%s'", codec->decoder);
  LLVMTypeRef types[] = {u->pointer, u->pointer, u->pointer, u->i32, u->i32};
  LLVMValueRef init = LLVMAddFunction(module, "init", LLVMFunctionType(u->i32, types, 5, 0));
  qn_set_function_attributes(u, init);
  LLVMBuilderRef b = LLVMCreateBuilderInContext(u->context);
  LLVMPositionBuilderAtEnd(b, LLVMAppendBasicBlockInContext(u->context, init, "entry"));
  const qn_coded_image *image = &stream->images[0];
  bool one = stream->image_count == 1;
  LLVMValueRef arguments[] = {LLVMGetParam(init, 0),
                              LLVMConstInt(u->i32, stream->size, 0),
                              one ? LLVMConstInt(u->i32, image->start, 0) : LLVMGetParam(init, 3),
                              LLVMGetParam(init, 1),
                              one ? LLVMConstInt(u->i32, image->bytes, 0) : LLVMGetParam(init, 4),
                              LLVMGetParam(init, 2),
                              LLVMConstInt(u->i32, stream->features, 0)};
  LLVMBuildRet(b, LLVMBuildCall2(b, LLVMGlobalGetValueType(decoder), decoder, arguments, 7, ""));
  LLVMDisposeBuilder(b);
  return QN_OK;
}

static qn_status measure(qn_unit *u, LLVMModuleRef module, int64_t *out_bytes) {
  QN_TRY(qn_optimize_module(u, module, "globaldce,always-inline,globaldce"));
  char *why = NULL;
  LLVMMemoryBufferRef buffer = NULL;
  if (LLVMTargetMachineEmitToMemoryBuffer(u->machine, module, LLVMObjectFile, &why, &buffer)) {
    qn_status status = qn_bug("emitting: %s", why);
    LLVMDisposeMessage(why);
    return status;
  }
  qn_elf elf;
  qn_status status =
      qn_read_elf(&u->m->arena, LLVMGetBufferStart(buffer), LLVMGetBufferSize(buffer), &elf);
  LLVMDisposeMemoryBuffer(buffer);
  *out_bytes = elf.loaded_bytes;
  return status;
}

qn_status qn_measure_decoder(qn_unit *u, const qn_codec *codec, const qn_stream *stream,
                             int64_t *out_bytes) {
  LLVMModuleRef module;
  QN_TRY(qn_parse_runtime(u, &module));
  qn_status status = add_call(u, module, codec, stream);
  if (status == QN_OK) status = measure(u, module, out_bytes);
  LLVMDisposeModule(module);
  return status;
}
