-- CreateTable
CREATE TABLE "write_proofs" (
    "id" SMALLINT NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "write_proofs_pkey" PRIMARY KEY ("id")
);
