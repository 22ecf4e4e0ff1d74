/* The estimated instructions and cycles of a compiled model, layer by layer. */
#ifndef QN_SPEED_H
#define QN_SPEED_H

#include "command.h"

/* JSON also says what a layer's costs are counted in, and is for rows without costs as well. */
void qn_print_speed(const qn_func *f, const qn_target *target, const qn_object *object, bool json);

#endif
