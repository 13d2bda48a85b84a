# What the functions remember of a Spacelift pool: a few small documents, and who drains what.
# A Windlass pool has the control plane's bucket.
resource "aws_s3_bucket" "documents" {
  count = local.own_documents ? 1 : 0

  bucket_prefix = "${substr(local.base_name, 0, 36)}-"
  # It remembers nothing that the next look at the pool does not tell.
  force_destroy = true
  tags          = local.tags
}

resource "aws_s3_bucket_ownership_controls" "documents" {
  count = local.own_documents ? 1 : 0

  bucket = aws_s3_bucket.documents[0].id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "documents" {
  count = local.own_documents ? 1 : 0

  bucket                  = aws_s3_bucket.documents[0].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "documents" {
  count = local.own_documents ? 1 : 0

  bucket = aws_s3_bucket.documents[0].id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_versioning" "documents" {
  count = local.own_documents ? 1 : 0

  bucket = aws_s3_bucket.documents[0].id

  versioning_configuration {
    status = "Enabled"
  }
}

# A document is written each minute: what was superseded ends after a week.
resource "aws_s3_bucket_lifecycle_configuration" "documents" {
  count = local.own_documents ? 1 : 0

  bucket = aws_s3_bucket.documents[0].id

  rule {
    id     = "superseded"
    status = "Enabled"
    filter {}

    expiration {
      expired_object_delete_marker = true
    }

    noncurrent_version_expiration {
      noncurrent_days = 7
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }

  depends_on = [aws_s3_bucket_versioning.documents]
}

data "aws_iam_policy_document" "documents_tls" {
  count = local.own_documents ? 1 : 0

  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.documents[0].arn, "${aws_s3_bucket.documents[0].arn}/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_s3_bucket_policy" "documents" {
  count = local.own_documents ? 1 : 0

  bucket = aws_s3_bucket.documents[0].id
  policy = data.aws_iam_policy_document.documents_tls[0].json
}
