/* onnx.h - models from ONNX files. */
#ifndef CN_ONNX_H
#define CN_ONNX_H

#include "model/model.h"
#include "onnx/onnx_file.h"

/*
 * The model of an ONNX graph, finished, with its weights; or shape-only (model.h). What it does
 * not support is one CN_ERR_UNSUPPORTED that lists operators and nodes.
 */
cn_status cn_onnx_load(cn_model **model, const char *path, bool shape_only,
                       const cn_input_size *sizes, int count, cn_error *err);
/* Branches that are taken, and sizes that are given, become part of the file. */
cn_status cn_onnx_import(cn_model **model, cn_onnx_file *file, bool shape_only, cn_error *err);

#endif
