/* Removes the function @teacher that keep-teacher added; its constants are dce's. */
#include "recover.h"

qn_status pass_drop_teacher(qn_module *m, const qn_pass_options *options) {
  (void)options;
  for (qn_func **at = &m->funcs; *at; at = &(*at)->next) {
    if (!qn_is_teacher(m, *at)) continue;
    *at = (*at)->next;
    break;
  }
  return QN_OK;
}
