from django.db import migrations, models


class Migration(migrations.Migration):
    """Each provider of the assistant keeps its own model."""

    dependencies = [("accounts", "0001_initial")]

    operations = [
        migrations.RenameField("user", "ai_model", "ai_openrouter_model"),
        migrations.AddField("user", "ai_ollama_model", models.CharField(blank=True, max_length=128)),
    ]
