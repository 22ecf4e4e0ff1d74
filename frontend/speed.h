/* The estimated instructions and cycles of a compiled model, layer by layer. */
#ifndef QN_SPEED_H
#define QN_SPEED_H

#include "command.h"

/* The target's row has costs (qn_has_costs). */
void qn_print_speed(const qn_func *f, const qn_target *target, const qn_object *object, bool json);

#endif
